"use strict";
// A form is sent until it is answered, also after the page was loaded again: it carries an id, by which it is
// stored once. What comes back is the next page, of which the main part takes the place of this one's.
const KEPT = "review", IDLE_MS = 60000, EVENTS = ["keydown", "pointerdown", "pointermove", "scroll", "visibilitychange"];
const main = () => document.getElementById("main");
const notice = (words) => { document.getElementById("notice").textContent = words; };
let busy = false, spent = 0, since = performance.now(), looks = !document.hidden;

function tick() { // time counts while the page is in front, and somebody does something
  const now = performance.now();
  if (looks) spent += Math.min(now - since, IDLE_MS);
  [since, looks] = [now, !document.hidden];
}
for (const event of EVENTS) document.addEventListener(event, tick, { capture: true, passive: true });

function send(method, url, body, wait = 250) {
  const request = new XMLHttpRequest();
  busy = true;
  request.open(method, url);
  request.responseType = "document";
  request.timeout = 15000;
  request.setRequestHeader("X-Page", "1");
  if (body) request.setRequestHeader("Content-Type", "application/x-www-form-urlencoded");
  request.onloadend = () => {
    if (request.response && request.status < 500) return show(request.response);
    notice("Not stored yet: nobody answers. Trying again; you can leave this open.");
    setTimeout(send, wait, method, url, body, Math.min(wait * 2, 4000));
  };
  request.send(body);
}

function show(page) {
  const next = page.getElementById("main");
  sessionStorage.removeItem(KEPT);
  busy = false;
  if (next.dataset.row !== main().dataset.row) spent = 0;
  document.title = page.title;
  main().replaceWith(next);
  notice(page.getElementById("notice").textContent);
  begin();
}

function begin() {
  scrollTo(0, 0);
  document.getElementById("row")?.focus({ preventScroll: true });
  if (main().dataset.kind === "spans") draw();
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[action='/answer']")) return;
  event.preventDefault();
  if (busy) return;
  tick();
  const body = new URLSearchParams(new FormData(event.target, event.submitter));
  body.set("seconds", (spent / 1000).toFixed(2));
  sessionStorage.setItem(KEPT, body);
  send("POST", "/answer", body.toString());
});

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("textarea, input:not([type=checkbox])"), row = document.getElementById("row");
  if (event.key === "Escape") {
    for (const open of main().querySelectorAll("details[open]")) open.open = false;
    row?.focus();
  } else if (field) {
    if (event.key !== "Enter" || (field.matches("textarea") && !event.ctrlKey && !event.metaKey)) return;
    if (field.matches("textarea")) field.form.querySelector("button").click();
    else if (field.id === "find") main().querySelector(".choice:not([hidden])")?.click();
    else if (field.name === "note") row.focus();
    else return;
    event.preventDefault();
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey) {
    if (event.key === "Enter" && event.target.closest("button, summary, a")) return; // the browser presses it
    if (main().dataset.kind === "spans" && moved(event)) return event.preventDefault();
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const found = main().querySelector(`[aria-keyshortcuts="${CSS.escape(name)}"]`);
    if (!found) return;
    event.preventDefault();
    if (busy || event.repeat) return;
    found.matches("input[type=search]") ? found.focus() : found.click();
    enter(found.closest("details")); // at once: the next key is meant for it
  }
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[aria-keyshortcuts]"), kind = event.target.closest("[data-span]");
  if (kind) mark(kind.dataset.span);
  if (!link || busy) return;
  event.preventDefault();
  send("GET", link.getAttribute("href"));
});

function enter(details) { // what was opened is written into
  const field = details?.open && details.querySelector("textarea, input:not([type=hidden])");
  if (!field || field === document.activeElement) return;
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}
document.addEventListener("toggle", (event) => enter(event.target), true);

document.addEventListener("input", (event) => {
  if (event.target.id !== "find") return;
  const wanted = event.target.value.trim().toLowerCase();
  for (const choice of main().querySelectorAll(".choice")) choice.hidden = !choice.textContent.toLowerCase().includes(wanted);
});

// Spans are [start, end, kind] in characters of the text, of which a sign that is shown by its name is one.
const spans = () => JSON.parse(document.getElementById("spans").value);
const parts = () => [...main().querySelector(".text").childNodes];
const size = (part) => (part.nodeType === Node.TEXT_NODE ? [...part.data].length : 1);

function place(node, offset) { // of the selection -> in the text
  let at = 0;
  for (const [n, part] of parts().entries()) {
    if (node === part.parentNode ? n === offset : part.contains(node)) {
      if (node === part) return at + [...part.data.slice(0, offset)].length;
      return at + (node === part.parentNode || !offset ? 0 : 1);
    }
    at += size(part);
  }
  return at;
}

function range(start, end) { // the other way around
  const found = document.createRange();
  let at = 0;
  for (const part of parts()) {
    const after = at + size(part), inside = (to) => [...part.data].slice(0, to - at).join("").length;
    const text = part.nodeType === Node.TEXT_NODE;
    if (start >= at && start < after) text ? found.setStart(part, inside(start)) : found.setStartBefore(part);
    if (end > at && end <= after) text ? found.setEnd(part, inside(end)) : found.setEndAfter(part);
    at = after;
  }
  return found;
}

function mark(kind) {
  const chosen = getSelection(), text = main().querySelector(".text");
  if (busy || chosen.isCollapsed || !text.contains(chosen.anchorNode)) return notice("Select some words first.");
  const { startContainer, startOffset, endContainer, endOffset } = chosen.getRangeAt(0), said = chosen.toString();
  const lead = [...said].length - [...said.trimStart()].length, tail = [...said].length - [...said.trimEnd()].length;
  const start = place(startContainer, startOffset) + lead;
  const end = (text.contains(endContainer) ? place(endContainer, endOffset) : Infinity) - tail;
  if (!(start < end && end < Infinity)) return notice("Select some words of the text.");
  chosen.collapseToEnd();
  set([...spans().filter(([from, to]) => to <= start || from >= end), [start, end, kind]]);
  notice(`Marked as ${kind}: ${said.trim()}`);
}

function set(found) {
  document.getElementById("spans").value = JSON.stringify(found.sort((a, b) => a[0] - b[0]));
  draw();
}

function draw() {
  const kinds = [...main().querySelectorAll("[data-span]")].map((kind) => kind.dataset.span), list = document.getElementById("marked");
  if (!list) return;
  CSS.highlights?.clear();
  list.replaceChildren(...spans().map(([start, end, kind], n) => {
    const item = document.createElement("li"), remove = document.createElement("button"), name = `span-${kinds.indexOf(kind) % 6}`;
    if (CSS.highlights) CSS.highlights.set(name, (CSS.highlights.get(name) ?? new Highlight()).add(range(start, end)));
    remove.type = "button";
    remove.className = name;
    remove.textContent = `${range(start, end)} · ${kind} ✕`;
    remove.title = "take it out";
    remove.onclick = () => set(spans().filter((_, other) => other !== n));
    item.append(remove);
    return item;
  }));
}

function moved(event) { // words are selected by the arrow keys; the last span is taken out by Backspace
  const way = { ArrowRight: "forward", ArrowLeft: "backward" }[event.key], chosen = getSelection();
  const text = main().querySelector(".text");
  if (event.key === "Backspace") set(spans().slice(0, -1));
  if (!way || !text) return event.key === "Backspace";
  if (!text.contains(chosen.anchorNode)) chosen.collapse(text, 0);
  if (!event.shiftKey && !chosen.isCollapsed) way === "forward" ? chosen.collapseToEnd() : chosen.collapseToStart();
  chosen.modify("extend", way, "word");
  return true;
}

const kept = sessionStorage.getItem(KEPT);
kept ? send("POST", "/answer", kept) : begin();
