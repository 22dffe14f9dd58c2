const AHEAD = 10 // rows before the end of the window at which more are asked for
const MOST = 300 // rows that the page holds at most
const COMFORTABLE = 125 // characters of alt text that screen readers say in one go

const caption = part("caption")
const NOTHING = part("nothing").textContent

let rows = [] // a window in the order of doubt
let following = null // the place in the library behind the last of them
let current = -1
let busy = false
let loading = null
let decided = [] // pictures whose changes can be taken back, the last at the end
let pending = null // what a conflict is about

// ---- the server ----

const watch = async () => {
  try { tellCounts((await ask("counts")).content.counts) } catch { /* said already */ }
}

// ---- what is said ----

const tellProblem = text => { part("problem").textContent = text }
const word = row => row.status ?? "not reviewed"
const share = row => row.confidence.toFixed(2)

const tellCounts = counts => {
  if (!counts) return
  const parts = Object.entries(counts).map(([status, count]) => `${count.toLocaleString("en")} ${status || "not reviewed"}`)
  part("counts").textContent = parts.join(", ")
}

const tellLength = () => {
  const length = [...caption.value].length
  const long = length > COMFORTABLE ? `, long for alt text (over ${COMFORTABLE})` : ""
  part("length").textContent = `${length} characters${long}`
  const row = rows[current]
  const unsent = row !== undefined && caption.value !== row.caption
  part("unsent").textContent = unsent ? "Not stored yet." : ""
  part("discard").hidden = !unsent
}

// ---- the list ----

const entry = row => {
  const image = make("img", {src: `pictures/${row.id}?side=small`, alt: "", loading: "lazy", width: 64, height: 48})
  const about = make("small", {textContent: `${share(row)}, ${word(row)}`})
  const text = make("span", {className: "text", textContent: row.caption, dir: "auto"})
  const button = make("button", {type: "button", tabIndex: -1}, image, make("span", {}, text, about))
  button.addEventListener("click", () => { show(rows.findIndex(other => other.id === row.id)); part("name").focus() })
  return make("li", {}, button)
}

const buttons = () => [...part("list").children].map(item => item.firstChild)

const mark = () => {
  buttons().forEach((button, index) => {
    button.tabIndex = index === current ? 0 : -1
    if (index === current) button.setAttribute("aria-current", "true")
    else button.removeAttribute("aria-current")
  })
  const button = buttons()[current]
  if (!button || document.activeElement === button) return
  // Not scrollIntoView, which would scroll the page along.
  const list = part("list").parentElement
  const [top, bottom] = [button.offsetTop, button.offsetTop + button.offsetHeight]
  list.scrollTop = Math.min(top, Math.max(list.scrollTop, bottom - list.clientHeight))
}

const replace = row => {
  const index = rows.findIndex(other => other.id === row.id)
  if (index < 0) return
  rows[index] = row
  part("list").children[index].replaceWith(entry(row))
  mark()
}

const load = () => {
  loading ??= loadOnce().finally(() => { loading = null })
  return loading
}

const loadOnce = async () => {
  const shown = part("show").value
  const after = following === null ? "" : `&after=${encodeURIComponent(JSON.stringify(following))}`
  const {code, content} = await ask(`rows?show=${encodeURIComponent(shown)}${after}`)
  if (shown !== part("show").value) return // another choice was made meanwhile
  if (code !== 200) {
    tellProblem(content.error)
    part("nothing").textContent = content.error // where no picture is shown, the problem is not either
    return
  }
  const known = new Set(rows.map(row => row.id))
  const fresh = content.rows.filter(row => !known.has(row.id))
  rows.push(...fresh)
  part("list").append(...fresh.map(entry))
  following = content.next
  const surplus = Math.min(rows.length - MOST, current - AHEAD)
  if (surplus > 0) {
    rows.splice(0, surplus)
    for (let count = 0; count < surplus; count++) part("list").firstChild.remove()
    current -= surplus
  }
  part("more").hidden = following === null
  mark()
}

const begin = async () => {
  part("nothing").textContent = NOTHING
  rows = []
  following = null
  current = -1
  part("list").replaceChildren()
  if (loading) await loading.catch(() => {})
  await load()
  show(rows.length ? 0 : -1)
}

// ---- one picture ----

const show = index => {
  const row = rows[index]
  part("nothing").hidden = row !== undefined
  if (row === undefined && part("main").contains(document.activeElement)) part("nothing").focus()
  part("main").hidden = row === undefined
  closeConflict()
  tellProblem("")
  current = row === undefined ? -1 : index
  if (row === undefined) return
  part("name").textContent = row.name
  part("folder").textContent = row.folder
  const image = part("picture")
  image.hidden = false
  part("unseen").hidden = true
  image.src = `pictures/${row.id}`
  image.alt = `The picture ${row.name}`
  caption.value = drafts.read(row.id)?.text ?? row.caption
  tellRow(row)
  tellOthers(row, [])
  tellChanges([])
  mark()
  refresh(row.id)
  const after = rows[index + 1]
  if (after) new Image().src = `pictures/${after.id}`
  if (index >= rows.length - AHEAD && following !== null) load().catch(() => {})
}

const tellRow = row => {
  words.tell(row)
  const who = row.reviewer ? ` by ${row.reviewer}, ${row.reviewed.slice(0, 10)}` : ""
  part("status").textContent = word(row) + who
  part("confidence").textContent = share(row)
  part("keywords").textContent = row.keywords.join(", ") || "none"
  part("copied").hidden = row.copied === null
  part("copied").textContent = row.copied === null ? "" : `The caption was copied from ${row.copied}, of the same burst.`
  tellLength()
}

const tellOthers = (row, changes) => {
  const former = changes.flatMap(edit => ["caption", "untaken"].includes(edit.field) ? [edit.new, edit.old] : [])
  const texts = [...new Set([...row.others.map(([text]) => text), ...former])].filter(text => text && text !== row.caption)
  part("alternatives").hidden = !texts.length
  part("others").replaceChildren(...texts.map((text, index) => {
    const key = index < 9 ? [make("kbd", {textContent: index + 1, ariaHidden: "true"}), " "] : []
    const button = make("button", {type: "button"}, ...key, make("span", {textContent: text, dir: "auto"}))
    if (index < 9) button.setAttribute("aria-keyshortcuts", String(index + 1))
    button.addEventListener("click", () => { write(text); caption.focus() })
    return make("li", {}, button)
  }))
}

const tellChanges = changes => {
  part("past").hidden = !changes.length
  part("changes").replaceChildren(...changes.map(edit => {
    const field = edit.field === "untaken" ? "text that came too late" : edit.field
    const text = `${edit.at.slice(0, 16).replace("T", " ")} UTC, ${edit.by}, ${field}: ${edit.old ?? "none"} → ${edit.new ?? "none"}`
    return make("li", {textContent: text})
  }))
}

const refresh = async id => {
  let answer
  try { answer = await ask(`rows/${id}`) } catch { return }
  const row = rows[current]
  if (answer.code !== 200 || row?.id !== id) return
  // While somebody writes, a newer row must not pass for the one that the text was written for.
  if (caption.value === row.caption && answer.content.row.version !== row.version && !busy) {
    replace(answer.content.row)
    caption.value = answer.content.row.caption
    tellRow(answer.content.row)
  }
  tellOthers(rows[current], answer.content.changes)
  tellChanges(answer.content.changes)
}

const write = text => {
  caption.value = text
  caption.dispatchEvent(new Event("input"))
}

const change = async (path, body, done) => {
  if (busy) return
  busy = true
  tellProblem("")
  try {
    const {code, content} = await ask(path, body)
    if (code === 200) await done(content.row)
    else if (code === 409) openConflict(content.row, body)
    else tellProblem(content.error)
  } catch (error) {
    if (!(error instanceof Gone)) throw error
    tellProblem(`${error.message} Not stored.`)
  } finally {
    busy = false
  }
}

const decide = async status => {
  const row = rows[current]
  if (!row) return
  const text = caption.value
  const version = drafts.read(row.id)?.version ?? row.version
  await change(`rows/${row.id}`, {version, status, caption: text}, async stored => {
    decided.push(stored.id)
    const stays = rows[current]?.id === stored.id
    const written = stays && caption.value !== text // on and on, while it was stored
    replace(stored)
    if (written) { drafts.write(stored.id, {text: caption.value, version: stored.version}); tellRow(stored); return }
    drafts.drop(stored.id)
    watch()
    if (stays) await step(1, `Stored: ${stored.status}.`)
  })
}

const takeBack = async () => {
  const id = decided.at(-1) ?? rows[current]?.id
  if (id === undefined) return
  const index = rows.findIndex(row => row.id === id)
  if (index >= 0 && index !== current) show(index)
  let version = rows[index]?.version
  if (version === undefined) { // it is in the window no longer
    try { version = (await ask(`rows/${id}`)).content.row?.version } catch { return }
  }
  await change(`rows/${id}/undo`, {version}, stored => {
    if (decided.at(-1) === id) decided.pop()
    drafts.drop(id)
    replace(stored)
    if (rows[current]?.id === id) show(current)
    say(`Taken back: ${stored.name} is ${word(stored)}. ${stored.caption}`)
    watch()
  })
}

const step = async (by, before = "") => {
  if (current + by >= rows.length && following !== null) {
    try { await load() } catch { return }
  }
  const row = rows[current + by]
  if (document.activeElement === caption) part("name").focus()
  words.leave()
  if (!row) {
    show(current)
    say(`${before} ${by > 0 ? "This is the last picture here." : "This is the first picture here."}`)
    return
  }
  show(current + by)
  say(`${before} ${row.name}: ${row.caption} Confidence ${share(row)}, ${word(row)}.`)
}

// ---- two people at once ----

const openConflict = (row, body) => {
  pending = {row, status: body.status}
  if (body.status === undefined) { // nothing was written: take what is there
    replace(row)
    show(current)
    tellProblem("Somebody else changed this picture meanwhile; here is what is stored.")
    return
  }
  part("theirs").textContent = `${row.reviewer ?? "Somebody"} stored another text or status meanwhile: “${row.caption}” `
    + `(${word(row)}). Yours is still in the field, and both are in the history.`
  part("conflict").hidden = false
  part("mine").focus()
  say(part("theirs").textContent)
}

const closeConflict = () => {
  pending = null
  part("conflict").hidden = true
}

part("mine").addEventListener("click", () => {
  const {row, status} = pending
  drafts.write(row.id, {text: caption.value, version: row.version})
  replace(row)
  closeConflict()
  part("name").focus()
  decide(status)
})

part("take").addEventListener("click", () => {
  const {row} = pending
  drafts.drop(row.id)
  replace(row)
  show(current)
  part("name").focus()
})

// ---- keys and buttons ----

caption.addEventListener("input", () => {
  const row = rows[current]
  if (!row) return
  const version = drafts.read(row.id)?.version ?? row.version
  if (caption.value === row.caption) drafts.drop(row.id)
  else drafts.write(row.id, {text: caption.value, version})
  tellLength()
})

const actions = {
  a: () => decide("accepted"),
  r: () => decide("rejected"),
  f: () => decide("flagged"),
  u: takeBack,
  h: words.enter,
  j: () => step(1),
  k: () => step(-1),
  e: () => { caption.focus(); caption.setSelectionRange(caption.value.length, caption.value.length) },
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return
  if (event.target === caption) {
    if (event.key === "Escape") part("name").focus()
    else if (event.key === "Enter" && !event.shiftKey) decide("accepted")
    else return
    event.preventDefault()
    return
  }
  if (event.target.closest("#list") && ["ArrowDown", "ArrowUp"].includes(event.key)) {
    const all = buttons()
    all[all.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1)]?.focus()
    event.preventDefault()
    return
  }
  if (event.target.matches("select, input") || !part("keys").checked || event.repeat) return
  const other = /^[1-9]$/.test(event.key) && part("others").children[event.key - 1]
  const action = actions[event.key.toLowerCase()] ?? (other && (() => other.firstChild.click()))
  if (!action) return
  event.preventDefault()
  action()
})

for (const [id, key] of Object.entries({accept: "a", reject: "r", flag: "f", undo: "u", previous: "k", next: "j"})) {
  part(id).addEventListener("click", actions[key])
}
part("discard").addEventListener("click", () => { write(rows[current].caption); caption.focus() })
part("more").addEventListener("click", () => load().catch(() => {}))
part("show").addEventListener("change", () => begin().catch(() => {}))
part("picture").addEventListener("error", () => {
  part("picture").hidden = true
  part("unseen").hidden = false
  words.hide()
})

begin().catch(() => {})
watch()
setInterval(watch, EVERY)
