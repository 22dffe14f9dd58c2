"use strict"
// What the pages of capcli share; the script of a page follows in the same file.

const EVERY = 5000 // milliseconds after which a page asks whether the server is there

const part = id => document.getElementById(id)

const make = (name, options = {}, ...inner) => {
  const element = Object.assign(document.createElement(name), options)
  element.append(...inner)
  return element
}

const say = text => { part("said").textContent = text }

// ---- what is not stored yet ----

const memory = new Map()
const draftKey = id => `capcli ${document.body.dataset.store} ${id}`
const drafts = {
  read(id) {
    try { return JSON.parse(localStorage.getItem(draftKey(id))) ?? memory.get(id) ?? null }
    catch { return memory.get(id) ?? null }
  },
  write(id, draft) {
    memory.set(id, draft)
    try { localStorage.setItem(draftKey(id), JSON.stringify(draft)) } catch { /* this tab remembers it */ }
  },
  drop(id) {
    memory.delete(id)
    try { localStorage.removeItem(draftKey(id)) } catch { /* there is none */ }
  },
}

// ---- the server ----

class Gone extends Error {}

const ask = async (path, body) => {
  const how = body === undefined ? {} : {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
  }
  let reply, content
  try {
    reply = await fetch(path, how)
    content = await reply.json()
  } catch {
    const why = reply ? "Another server is at this address now." : "The server is gone."
    tellGone(`${why} Nothing more is stored. What you wrote stays in this browser: start capcli review again and open `
      + "the address that it prints.")
    throw new Gone(why)
  }
  tellGone("")
  return {code: reply.status, content}
}

const tellGone = text => {
  if (part("gone").textContent === text) return
  const back = !text && part("gone").textContent
  part("gone").textContent = text
  if (back) say("The server is back.")
}

