// ---- the rating page: a question at a time ----

const choices = [...document.querySelectorAll(".choice")]
const scales = [...document.querySelectorAll(".scale")].map(scale => scale.id)
const radios = [...document.querySelectorAll(".scale input")]

let question = null
let busy = false
let turn = 0 // which scale the next digit is for
let stored = [] // places whose answers can be taken back, the last at the end

const chosen = () => {
  const values = {}
  for (const scale of scales) {
    const radio = radios.find(input => input.name === scale && input.checked)
    if (radio) values[scale] = Number(radio.value)
  }
  return values
}

const differs = values => scales.some(scale => values[scale] !== question.values[scale])

const tellUnsent = () => {
  const unsent = scales.length ? differs(chosen()) : drafts.read(question.id) !== null
  part("unsent").textContent = unsent ? "Not stored yet." : ""
}

const tellProgress = ({count, done}) => {
  part("progress").textContent = `${done.toLocaleString("en")} of ${count.toLocaleString("en")} answered`
  part("bar").value = done
  part("nothing").hidden = done < count
  if (done === count) part("nothing").textContent = "All is answered. Thank you; you can close this page, or look at your answers."
}

const tellProblem = text => { part("problem").textContent = text }

const fill = () => {
  const values = {...question.values, ...drafts.read(question.id)}
  for (const radio of radios) radio.checked = values[radio.name] === Number(radio.value)
  for (const choice of choices) {
    choice.setAttribute("aria-pressed", String(values.preference === Number(choice.value)))
  }
  turn = 0
  tellUnsent()
}

const show = (asked, before = "") => {
  question = asked.question
  part("main").hidden = false
  tellProblem("")
  const total = asked.count.toLocaleString("en")
  const done = Object.keys(question.values).length ? ", answered" : ""
  part("name").textContent = `Question ${(question.place + 1).toLocaleString("en")} of ${total}${done}`
  question.captions.forEach((caption, index) => { part(`text-${index + 1}`).textContent = caption || "(no words)" })
  const image = part("picture")
  image.hidden = false
  part("unseen").hidden = true
  image.src = `pictures/${question.place}`
  fill()
  tellProgress(asked)
  part("previous").disabled = question.place === 0
  part("next").disabled = question.place + 1 >= asked.count
  const captions = question.captions.map(caption => `“${caption || "no words"}”`).join(" or ")
  say(`${before} ${part("name").textContent}: ${captions}`)
  if (question.place + 1 < asked.count) new Image().src = `pictures/${question.place + 1}`
}

const go = async (place, before = "") => {
  const {code, content} = await ask(`questions/${place}`)
  if (code !== 200) { tellProblem(content.error); return }
  // What has the focus is about another question now.
  if (part("main").contains(document.activeElement)) part("name").focus()
  show(content, before)
}

const change = async (path, body, then) => {
  if (busy || !question) return
  busy = true
  tellProblem("")
  try {
    const {code, content} = await ask(path, body)
    if (code === 200) await then(content)
    else tellProblem(`${content.error}. Not stored.`)
  } catch (error) {
    if (!(error instanceof Gone)) throw error
    tellProblem(`${error.message} Not stored.`)
  } finally {
    busy = false
    tellUnsent()
  }
}

const send = values => {
  if (!question || busy) return
  const {id, place} = question
  drafts.write(id, values)
  change(`questions/${place}`, values, async asked => {
    drafts.drop(id)
    stored.push(place)
    question.values = asked.question.values
    if (asked.open === null) { show(asked, "Stored. All is answered."); part("nothing").focus() }
    else await go(asked.open, "Stored.")
  })
}

const sendChosen = () => {
  const missing = scales.filter(scale => !(scale in chosen()))
  if (!missing.length) { send(chosen()); return }
  tellProblem(`Choose ${missing.join(" and ")} first.`)
  radios.find(input => input.name === missing[0]).focus()
}

const takeBack = () => {
  if (!question) return
  const place = stored.at(-1) ?? question.place
  change(`questions/${place}/undo`, {}, asked => {
    if (stored.at(-1) === place) stored.pop()
    drafts.drop(asked.question.id)
    show(asked, "Taken back.")
    part("name").focus()
  })
}

const step = by => {
  if (question && !part(by > 0 ? "next" : "previous").disabled) go(question.place + by).catch(() => {})
}

const goOpen = async () => {
  const {content} = await ask("progress")
  if (content.open !== null) await go(content.open)
  else say("All is answered.")
}

// ---- keys and buttons ----

const press = (value, scale) => {
  if (choices.length) {
    if (value <= 2) send({preference: value})
    return
  }
  if (scale) turn = scales.indexOf(scale)
  const radio = radios.find(input => input.name === scales[turn] && Number(input.value) === value)
  if (!radio) return
  radio.checked = true
  radio.dispatchEvent(new Event("input", {bubbles: true}))
  turn = (turn + 1) % scales.length
  if (turn === 0) sendChosen()
  else if (scale) radios.find(input => input.name === scales[turn]).focus()
  else say(`${scales[0]} ${value}. Now ${scales[turn]}.`)
}

const actions = {u: takeBack, j: () => step(1), k: () => step(-1), o: () => goOpen().catch(() => {})}
const arrows = {ArrowLeft: 1, ArrowRight: 2, ArrowDown: 0}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || !question) return
  const radio = event.target.matches("input[type=radio]")
  if (event.key === "Enter" && scales.length && (radio || !event.target.matches("button, input"))) {
    event.preventDefault()
    sendChosen()
    return
  }
  if (event.target.matches("input") && !radio) return
  if (!part("keys").checked) return
  const action = actions[event.key.toLowerCase()]
    ?? (/^[0-5]$/.test(event.key) ? () => press(Number(event.key), radio && event.target.name) : undefined)
    ?? (choices.length && event.key in arrows ? () => press(arrows[event.key]) : undefined)
  if (!action) return
  event.preventDefault()
  action()
})

for (const choice of choices) choice.addEventListener("click", () => send({preference: Number(choice.value)}))
for (const radio of radios) {
  radio.addEventListener("input", () => {
    if (differs(chosen())) drafts.write(question.id, chosen())
    else drafts.drop(question.id)
    tellUnsent()
  })
}
for (const [id, key] of Object.entries({undo: "u", previous: "k", next: "j", open: "o"})) {
  part(id).addEventListener("click", actions[key])
}
part("store")?.addEventListener("click", sendChosen)
part("picture").addEventListener("error", () => {
  part("picture").hidden = true
  part("unseen").hidden = false
})

const watch = async () => {
  try { tellProgress((await ask("progress")).content) } catch { /* said already */ }
}

const begin = async () => {
  const {code, content} = await ask("progress")
  if (code !== 200) {
    part("nothing").textContent = content.error
    part("nothing").hidden = false
    return
  }
  await go(content.open ?? 0)
}

begin().catch(() => {})
setInterval(watch, EVERY)
