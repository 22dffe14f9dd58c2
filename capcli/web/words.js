// Where the model looked for each word of the stored caption. One answer of the server holds the maps of all words.

const PAUSE = 150 // milliseconds at a word before it counts as a wish, so that passing by loads no model

const words = (() => {
  const HINT = "Point at a word, or go to it by H and the arrow keys, to see where the model looked for it."

  const heat = part("heat")
  const picture = part("picture")
  const line = part("words")
  let row = null // whose words are shown
  let maps = null // of its words, once they are there
  let refused = null // why there are none
  let asking = null // aborts the question
  let pointed = null // the button under the pointer
  let timer = 0
  let drawn = 0 // counts drawings, so that a slow one does not come after a later one

  const buttons = () => [...line.querySelectorAll("button")]
  const reached = () => line.contains(document.activeElement) ? document.activeElement : null
  const wished = () => pointed ?? reached()

  const hide = () => {
    drawn += 1
    heat.classList.remove("shown")
    buttons().forEach(button => button.removeAttribute("aria-current"))
  }

  const tellLine = (text, aloud) => {
    part("looked").textContent = text
    if (aloud) say(text)
  }

  const describe = (button, {known, probability, place}) => {
    const where = place === "everywhere alike" ? "it looked everywhere alike" : `it looked most at the ${place}`
    const how = known
      ? `the model gives it ${probability} after the words before it; ${where}.`
      : `the model does not know this word. By attention alone, ${where}.`
    const who = row.status === "edited" ? " The text is a person's." : ""
    return `“${button.textContent}”: ${how}${who}`
  }

  const draw = async button => {
    const map = maps[button.value]
    const image = new Image()
    const mine = ++drawn
    image.src = map.map
    try { await Promise.all([image.decode(), picture.decode()]) } catch { return } // the page says what it cannot show
    if (mine !== drawn) return
    // With the picture's own size the canvas lies where the picture does, whatever the page makes of either.
    heat.width = picture.naturalWidth
    heat.height = picture.naturalHeight
    const pen = heat.getContext("2d")
    pen.imageSmoothingQuality = "high"
    pen.drawImage(image, 0, 0, heat.width, heat.height)
    heat.classList.add("shown")
    buttons().forEach(other => other === button ? other.setAttribute("aria-current", "true") : other.removeAttribute("aria-current"))
  }

  const update = () => {
    const button = wished()
    if (!button) {
      hide()
      tellLine(refused ?? HINT)
    } else if (maps) {
      draw(button)
      tellLine(describe(button, maps[button.value]), button === reached())
    } else if (refused) tellLine(refused, button === reached())
    else fetchMaps()
  }

  const fetchMaps = async () => {
    if (asking) return
    const asked = row
    asking = new AbortController()
    tellLine("Looking. The first time takes some seconds, because the model is loaded.", reached() !== null)
    try {
      const {code, content} = await ask(`rows/${row.id}/heatmaps`, undefined, asking.signal)
      if (row !== asked) return
      asking = null
      if (code === 200 && content.caption === row.caption) maps = content.words
      else if (code === 200) tellLine("The caption was changed meanwhile; go to the picture again.")
      else if (code === 503) tellLine(`No heatmap: ${content.error}.`, reached() !== null) // another try may go better
      else refused = `No heatmap: ${content.error}.`
      if (maps || refused) update()
    } catch {
      if (row !== asked) return // it was left
      asking = null
      tellLine("No heatmap: the server is gone.")
    }
  }

  const wish = () => {
    clearTimeout(timer)
    timer = setTimeout(update, maps ? 0 : PAUSE)
  }

  const stop = button => buttons().forEach(other => { other.tabIndex = other === button ? 0 : -1 })

  const tell = shown => {
    if (row?.id === shown.id && row.caption === shown.caption) {
      row.status = shown.status
      return
    }
    leave()
    asking?.abort()
    asking = maps = refused = pointed = null
    row = {...shown}
    line.replaceChildren(...row.words.map(([text, place]) =>
      place === null ? text : make("button", {type: "button", value: place, textContent: text, tabIndex: -1})))
    part("looking").hidden = !buttons().length
    stop(buttons()[0])
    hide()
    heat.width = heat.height = 1
    tellLine(HINT)
  }

  const enter = () => {
    const at = line.querySelector("button[tabindex='0']")
    if (at) at.focus()
    else say("The caption has no words.")
  }

  // Before the words go, so that the focus does not go with them.
  const leave = () => { if (reached()) part("name").focus() }

  line.addEventListener("pointerover", event => {
    if (event.pointerType === "touch") return // it comes as a click
    pointed = event.target.closest("button")
    wish()
  })
  line.addEventListener("pointerleave", () => { pointed = null; wish() })
  line.addEventListener("focusin", event => { stop(event.target); wish() })
  line.addEventListener("focusout", wish)
  line.addEventListener("click", event => event.target.closest("button")?.focus()) // which some browsers leave out
  line.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return
    const all = buttons()
    const at = all.indexOf(event.target)
    const to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1}[event.key]
    if (event.key === "Escape") leave()
    else if (to !== undefined) all[(to + all.length) % all.length].focus()
    else return
    event.preventDefault()
  })

  document.addEventListener("keydown", event => { // also where the focus is elsewhere: the map covers the picture
    if (event.key !== "Escape" || !pointed) return
    pointed = null
    wish()
  })

  return {tell, hide, enter, leave}
})()
