"use strict";
(() => {
  const part = id => document.getElementById(id)
  const finder = part("finder")
  if (!finder) return
  const list = part("cards")
  const cards = [...list.children].map((card, place) => ({
    card, place, text: card.textContent.toLowerCase(), sure: card.dataset.confidence
  }))

  const find = () => {
    const words = part("search").value.toLowerCase().split(/\s+/)
    let count = 0
    for (const { card, text } of cards) {
      card.hidden = !words.every(word => text.includes(word))
      count += !card.hidden
    }
    part("found").textContent = count === cards.length ? "" : `${count} of ${cards.length}`
  }

  const orders = {
    given: (one, other) => one.place - other.place,
    surest: (one, other) => (other.sure ?? -1) - (one.sure ?? -1) || one.place - other.place,
    unsure: (one, other) => (one.sure ?? 2) - (other.sure ?? 2) || one.place - other.place
  }

  part("search").addEventListener("input", find)
  part("order").addEventListener("change", event => {
    list.append(...cards.sort(orders[event.target.value]).map(({ card }) => card))
  })
  finder.hidden = false
  find()
})()
