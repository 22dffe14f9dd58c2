"use strict";
(() => {
  const FADE = 160 // milliseconds from one heatmap to the next
  const STEP = 1200 // milliseconds a word is shown for while playing

  const part = id => document.getElementById(id)
  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0))

  const data = JSON.parse(part("data").textContent)
  const { rows, columns, words } = data
  if (!words.length) return
  const cells = rows * columns
  const maps = bytes(data.maps)
  const inks = new Uint32Array(bytes(data.inks).buffer) // RGBA of each of 256 strengths
  const canvas = part("heat")
  const { width, height } = canvas
  const pen = canvas.getContext("2d")
  const image = pen.createImageData(width, height)
  const pixels = new Uint32Array(image.data.buffer)
  const still = matchMedia("(prefers-reduced-motion: reduce)")

  // The same cubic B-spline as capcli.attribution.smooth_map, which says how and why.
  const integral = t => {
    const power = shift => Math.max(Math.min(Math.max(t, -2), 2) + shift, 0) ** 4
    return (power(2) - 4 * power(1) + 6 * power(0) - 4 * power(-1)) / 24
  }

  // What each pixel of an axis takes from each cell: cells x pixels.
  const shares = (count, size, start, end) => {
    const taken = Array.from({ length: count }, () => new Float32Array(size))
    const scale = count / (end - start)
    const edge = pixel => (pixel / size - start) * scale - 0.5
    const wide = scale / size
    for (let place = Math.floor(edge(0)) - 2; place <= Math.ceil(edge(size)) + 2; place++) {
      const mirrored = ((place % (2 * count)) + 2 * count) % (2 * count)
      const cell = taken[Math.min(mirrored, 2 * count - 1 - mirrored)]
      for (let pixel = 0; pixel < size; pixel++) {
        const from = edge(pixel) - place
        cell[pixel] += (integral(from + wide) - integral(from)) / wide
      }
    }
    return taken
  }
  const [left, top, right, bottom] = data.box
  const across = shares(columns, width, left, right)
  const down = shares(rows, height, top, bottom)

  const draw = weights => {
    const lines = down.map((_, row) => {
      const line = new Float32Array(width)
      across.forEach((taken, column) => {
        const weight = weights[row * columns + column]
        for (let x = 0; x < width; x++) line[x] += weight * taken[x]
      })
      return line
    })
    const heat = new Float32Array(width * height)
    let most = 0
    for (let y = 0; y < height; y++) {
      const start = y * width
      lines.forEach((line, row) => {
        const share = down[row][y]
        if (share) for (let x = 0; x < width; x++) heat[start + x] += share * line[x]
      })
      for (let x = 0; x < width; x++) most = Math.max(most, heat[start + x])
    }
    const scale = most ? 255 / most : 0
    for (let place = 0; place < heat.length; place++) pixels[place] = inks[Math.round(heat[place] * scale)]
    pen.putImageData(image, 0, 0)
  }

  let current = -1
  let shown = null
  let frame = 0
  let timer = 0

  const word = part("word")
  const heads = part("heads")
  const play = part("play")
  const perWord = maps.length / cells / words.length

  // The mean of the chosen maps, each made to sum to 1, and the largest of it made 1.
  const chosen = () => {
    const [first, last = first] = (heads ? heads.value : "0").split("-").map(Number)
    const mean = new Float32Array(cells)
    for (let map = first; map <= last; map++) {
      const start = (current * perWord + map) * cells
      const weights = maps.subarray(start, start + cells)
      const sum = weights.reduce((total, weight) => total + weight, 0) || 1
      weights.forEach((weight, cell) => { mean[cell] += weight / sum })
    }
    const most = Math.max(...mean) || 1
    return mean.map(weight => weight / most)
  }

  const show = () => {
    cancelAnimationFrame(frame)
    const from = shown
    const to = chosen()
    const begin = performance.now()
    const fade = now => {
      const done = from && !still.matches ? Math.min(Math.max((now - begin) / FADE, 0), 1) : 1
      shown = from ? to.map((weight, cell) => from[cell] + (weight - from[cell]) * done) : to
      draw(shown)
      if (done < 1) frame = requestAnimationFrame(fade)
    }
    fade(begin)
    const [text, probability, place] = words[current]
    const own = !heads || heads.selectedIndex === 0
    const where = own ? `strongest: ${place}` : heads.selectedOptions[0].textContent
    word.textContent = `${text}: ${probability}, ${where}`
  }

  const buttons = [...part("sentence").querySelectorAll(".word")].map(plain => {
    const button = document.createElement("button")
    button.type = "button"
    button.className = plain.className
    button.setAttribute("role", "radio")
    button.append(...plain.childNodes)
    plain.replaceWith(button)
    return button
  })

  const select = (place, focus) => {
    if (place !== current) {
      current = place
      buttons.forEach((button, other) => {
        button.setAttribute("aria-checked", other === place)
        button.tabIndex = other === place ? 0 : -1
      })
      show()
    }
    if (focus) buttons[place].focus()
  }

  const pause = () => {
    clearInterval(timer)
    timer = 0
    play.textContent = "Play"
  }

  play.addEventListener("click", () => {
    if (timer) return pause()
    const next = () => select((current + 1) % words.length)
    timer = setInterval(next, STEP)
    play.textContent = "Pause"
  })

  const point = event => {
    const place = buttons.indexOf(event.target.closest(".word"))
    if (place < 0) return
    pause()
    select(place)
  }
  const sentence = part("sentence")
  sentence.setAttribute("role", "radiogroup")
  sentence.setAttribute("aria-label", "Words")
  // Not pointerover, which also comes when the page moves under a pointer at rest.
  for (const kind of ["pointermove", "click", "focusin"]) sentence.addEventListener(kind, point)
  // A finger would stay with the word that it touched first; let go, it can slide over the others.
  sentence.addEventListener("pointerdown", event => {
    if (event.target.hasPointerCapture(event.pointerId)) event.target.releasePointerCapture(event.pointerId)
    point(event)
  })

  document.addEventListener("keydown", event => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select")) return
    const inside = sentence.contains(event.target)
    const places = { ArrowRight: current + 1, ArrowLeft: current - 1 }
    // Elsewhere these scroll the page.
    if (inside) Object.assign(places, {
      ArrowDown: current + 1, ArrowUp: current - 1, Home: 0, End: words.length - 1
    })
    if (!(event.key in places)) return
    event.preventDefault()
    pause()
    select((places[event.key] + words.length) % words.length, true)
  })

  const opacity = part("opacity")
  const lay = () => {
    canvas.style.opacity = opacity.value / 100
    part("percent").textContent = `${opacity.value} %`
  }
  opacity.addEventListener("input", lay)
  if (heads) heads.addEventListener("change", show)

  part("controls").hidden = false
  lay()
  select(0)
})()
