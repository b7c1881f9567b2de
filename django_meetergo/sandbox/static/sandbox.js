// Keeps the panels of the dashboard up to date and sends its forms without leaving the page.
// Without this script every form works by itself.
"use strict";

const INTERVAL = 2000;
const main = document.querySelector("[data-dashboard]");
const status = document.querySelector("[data-status]");
const sources = new Map();
let isPaused = false;

function show(text, isProblem = false) {
  status.textContent = text;
  status.classList.toggle("is-problem", isProblem);
  clearTimeout(show.timer);
  show.timer = setTimeout(() => { status.textContent = ""; }, isProblem ? 15000 : 6000);
}

function nameControl(control) {
  const form = control.closest("form");
  return `${form ? form.action : ""} ${control.name || ""} ${control.value || ""} ${control.textContent}`;
}

function isBeingEdited(panel) {
  const field = document.activeElement;
  return panel.contains(field) && field.matches("input:not([type=hidden]), select, textarea");
}

/** Replace a panel; keep what is unfolded, what has the focus, and what is being edited. */
function replacePanel(old, fresh) {
  const source = fresh.outerHTML;
  if (sources.get(old.id) === source || isBeingEdited(old)) return;
  sources.set(old.id, source);
  const focused = old.contains(document.activeElement) ? nameControl(document.activeElement) : null;
  for (const details of old.querySelectorAll("details[open][id]")) {
    const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
    if (same) same.open = true;
  }
  old.replaceWith(fresh);
  prepare(fresh);
  if (focused === null) return;
  const controls = [...fresh.querySelectorAll("button, a, summary")];
  (controls.find((control) => nameControl(control) === focused) || fresh.querySelector("h2"))?.focus();
}

function apply(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const old = document.getElementById(fresh.id);
    if (old) replacePanel(old, document.importNode(fresh, true));
  }
}

async function refresh() {
  try {
    const response = await fetch("/");
    if (response.ok && !isPaused) apply(await response.text());
    document.body.classList.remove("is-away");
  } catch {
    document.body.classList.add("is-away");
  }
}

async function poll() {
  if (!isPaused && !document.hidden) await refresh();
  setTimeout(poll, INTERVAL);
}

async function send(event) {
  const form = event.target;
  if (!form.action.includes("/_sandbox/")) return;
  event.preventDefault();
  const label = event.submitter ? event.submitter.textContent.trim() : "";
  const body = new URLSearchParams(new FormData(form, event.submitter));
  try {
    const response = await fetch(form.action, { method: "POST", body });
    const html = await response.text();
    if (response.ok) {
      apply(html);
      show(`Done: ${label}`);
    } else {
      const page = new DOMParser().parseFromString(html, "text/html");
      show(page.querySelector("[data-message]")?.textContent || "That did not work.", true);
    }
  } catch {
    document.body.classList.add("is-away");
    show("The sandbox does not answer. Is it still running?", true);
  }
}

async function copy(event) {
  const button = event.currentTarget;
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    show("Copied");
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    show("Selected: press Ctrl+C to copy");
  }
}

function prepare(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", copy);
  }
}

if (main) {
  const pause = document.querySelector("[data-pause]");
  pause.hidden = false;
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Resume" : "Pause";
    document.body.classList.toggle("is-paused", isPaused);
    show(isPaused ? "Paused: the panels stay as they are" : "The panels are live again");
    if (!isPaused) refresh();
  });
  // What has not changed is not replaced, with what was typed into it.
  for (const panel of main.querySelectorAll("[data-live]")) sources.set(panel.id, panel.outerHTML);
  prepare(document);
  document.addEventListener("submit", send);
  setTimeout(poll, INTERVAL);
}
