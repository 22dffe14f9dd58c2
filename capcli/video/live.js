"use strict"

const part = id => document.getElementById(id)

const load = address => new Promise(done => {
  const picture = part("picture")
  picture.onload = picture.onerror = done
  picture.src = address
})

const follow = async () => {
  let number = 0
  for (;;) {
    const answer = await fetch(`state?after=${number}`)
    if (!answer.ok) throw new Error(answer.statusText)
    const state = await answer.json()
    if (state.number > number) {
      number = state.number
      await load(`picture?number=${number}`)
      const picture = part("picture")
      picture.hidden = false
      picture.alt = state.sentence
      // A screen reader speaks what is written anew, even where it is the same.
      if (part("sentence").textContent !== state.sentence) part("sentence").textContent = state.sentence
      part("delay").textContent = `${state.delay} ms from frame to sentence`
    }
    if (state.ended) {
      part("gone").textContent = "It has ended."
      return
    }
  }
}

follow().catch(() => { part("gone").textContent = "capcli has ended; start it again and open the address that it prints." })
