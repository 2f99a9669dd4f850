"use strict";
const byId = id => document.getElementById(id);
const body = document.querySelector("#experiments tbody");
const dark = matchMedia("(prefers-color-scheme: dark)");
let after = "", next = null, by = "", down = false, waiting = 0, shown;
let chosen = decodeURIComponent(location.hash.slice(1)) || null;

async function call(path, method = "GET", known = "") {
  const headers = known ? {"If-None-Match": known} : {};
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = "Bearer " + token;
  const answer = await fetch(path, {method, headers});
  if (answer.status === 401) byId("login").hidden = false;
  if (!answer.ok && answer.status !== 304) {
    const text = await answer.text();
    let message = text;
    try { message = JSON.parse(text).message; } catch { /* plain text */ }
    throw new Error(message);
  }
  byId("login").hidden = true;
  return answer;
}

// As files/numbers.py: six digits, and none before the point cut.
const plain = v => {
  const rounded = Number(v.toPrecision(6)), size = Math.abs(v);
  return size >= 1e9 ? rounded.toExponential() : size >= 1e6 ? Math.round(v) : rounded;
};
function cell(row, text, kind, name) {
  const made = row.insertCell();
  if (kind) made.className = kind;
  if (name) made.dataset.name = name;
  made.textContent = text;
  return made;
}

function button(where, text, action) {
  const made = document.createElement("button");
  made.textContent = text;
  made.addEventListener("click", action);
  where.append(made, " ");
  return made;
}

const at = study => "v1/experiments/" + encodeURIComponent(study);

async function steer(study, verb) {
  try { await call(at(study) + "/" + verb, "POST"); } catch (error) { say(error.message); }
  await refresh();
}

async function stop(one) {
  if (confirm("Stop the experiment '" + one.name + "' for good? It gives out no more trials.")) await steer(one.study, "stop");
}

async function remove(one) {
  if (!confirm("Delete the experiment '" + one.name + "' with all its results?")) return;
  try { await call(at(one.study), "DELETE"); } catch (error) { say(error.message); }
  if (chosen === one.study) { chosen = null; hide(true); }
  await refresh();
}

function hide(hidden) {
  byId("detail").hidden = hidden;
  document.querySelector("main").className = hidden ? "" : "beside";
}

const valueOf = one => by !== "best" ? one[by] : one.best ? one.best.values[0] : undefined;
function sorted(rows) {
  if (!by) return rows;
  const known = rows.filter(one => valueOf(one) !== undefined), rest = rows.filter(one => valueOf(one) === undefined);
  known.sort((a, b) => valueOf(a) < valueOf(b) ? -1 : valueOf(a) > valueOf(b) ? 1 : 0);
  return (down ? known.reverse() : known).concat(rest);
}

function say(text) { byId("said").textContent = text; }

function made(one) {
  const row = document.createElement("tr");
  row.className = one.study === chosen ? "chosen" : "";
  const name = button(row.insertCell(), one.name, () => { chosen = one.study; location.hash = encodeURIComponent(chosen); refresh(); });
  name.className = "name";
  cell(row, one.state).title = one.message || "";
  if (one.trials === undefined) { row.insertCell().colSpan = 8; return row; }
  const bar = document.createElement("progress");
  bar.max = one.trials; bar.value = one.told;
  bar.title = one.told + " of " + one.trials;
  row.insertCell().append(bar);
  cell(row, one.told + " / " + one.trials, "number", "Told");
  cell(row, one.failures, "number", "Failed");
  cell(row, one.pruned, "number", "Pruned");
  cell(row, one.appended, "number", "Imported");
  cell(row, one.best ? one.best.values.map(v => v === null ? "–" : plain(v)).join(", ") : "–", "number", "Best");
  cell(row, one.algorithm);
  const verbs = row.insertCell();
  verbs.className = "verbs";
  if (one.state === "running") button(verbs, "Pause", () => steer(one.study, "pause"));
  if (one.state === "paused") button(verbs, "Resume", () => steer(one.study, "resume"));
  if (one.state === "running" || one.state === "paused") button(verbs, "Stop", () => stop(one));
  button(verbs, "Delete", () => remove(one));
  return row;
}

// Rows that are as they were stay in the document: they keep the focus and a selected text.
const rows = new Map();
function show(all) {
  const focused = document.activeElement;
  const inRow = focused.closest("#experiments tbody tr"), text = focused.textContent;
  const present = new Set(all.map(one => one.study));
  for (const [study, kept] of rows) if (!present.has(study)) { kept.row.remove(); rows.delete(study); }
  all.forEach((one, place) => {
    const state = JSON.stringify(one) + (one.study === chosen), kept = rows.get(one.study);
    let row = kept && kept.row;
    if (!kept || kept.state !== state) {
      row = made(one);
      if (kept) kept.row.replaceWith(row);
      rows.set(one.study, {state, row});
      if (kept && kept.row === inRow) Array.from(row.querySelectorAll("button")).find(one => one.textContent === text)?.focus({preventScroll: true});
    }
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] || null);
  });
}

// The plot that the frame has, `frame` for that of the page in it; `draws` is 0 until it is there.
const frame = document.querySelector("iframe"), plot = {frame: "", state: "", tag: "", draws: 0};
addEventListener("message", event => {
  if (event.source !== frame.contentWindow) return;
  plot.draws = event.data.draws;
  frame.dataset.draws = plot.draws;
});

let described = "";
function describe(one) {
  const facts = {"Study": one.study, "In clients' hands": one.running, "Asked": one.asked};
  if (one.cost) facts["Cost"] = one.cost;
  if (one.best) {
    facts["Best trial"] = one.best.number;
    for (const [name, value] of Object.entries(one.best.params)) facts[name] = value;
  }
  const state = JSON.stringify([one.name, facts]);
  if (state === described) return;
  described = state;
  document.querySelector("#detail h2").textContent = one.name;
  const list = document.querySelector("#detail dl");
  list.replaceChildren();
  for (const [name, value] of Object.entries(facts)) {
    const term = document.createElement("dt"), told = document.createElement("dd");
    term.textContent = name; told.textContent = value;
    list.append(term, told);
  }
}

async function detail(one) {
  hide(false);
  describe(one);
  const path = at(one.study) + "/plot?type=" + byId("kind").value + "&theme=" + (dark.matches ? "dark" : "light");
  const state = [one.created, one.asked, one.told, one.successes, one.appended, one.best && one.best.number].join();
  const isThere = plot.frame === path;
  if (isThere && plot.state === state) return;
  if (isThere && !frame.hidden && !plot.draws) return;  // It loads; the next look updates it.
  try {
    if (isThere && !frame.hidden) {
      const answer = await call(path + "&format=json", "GET", plot.tag);
      if (answer.status === 200) {
        frame.contentWindow.postMessage(await answer.text(), "*");
        plot.tag = answer.headers.get("etag");
      }
    } else {
      const page = await (await call(path)).text();
      Object.assign(plot, {frame: path, tag: "", draws: 0});
      frame.dataset.draws = 0;
      frame.srcdoc = page;
      frame.hidden = false;
      byId("noplot").textContent = "";
    }
  } catch (error) {
    plot.frame = path;
    frame.hidden = true;
    byId("noplot").textContent = error.message;
  }
  plot.state = state;
}

// Without `forced` the page stays as it is while the server's answer does.
let busy = false, again = false, tag = "";
async function refresh(forced = true) {
  if (busy) { again ||= forced; return; }
  busy = true;
  try {
    const answer = await call("v1/experiments?details=true&limit=50&after=" + encodeURIComponent(after)
      + "&search=" + encodeURIComponent(byId("search").value) + (byId("state").value && "&state=" + byId("state").value),
      "GET", forced ? "" : tag);
    if (answer.status === 200) {
      const page = await answer.json();
      tag = answer.headers.get("etag");
      show(sorted(page.experiments));
      next = page.next;
      byId("more").hidden = next === null;
      byId("back").hidden = after === "";
      say(page.experiments.length ? "" : byId("search").value || byId("state").value ? "No experiment matches." : "There are no experiments yet.");
      shown = page.experiments.find(found => found.study === chosen);
    }
    if (shown && shown.trials !== undefined) await detail(shown);
    else hide(true);
  } catch (error) {
    say(error.message);
    tag = "";
  } finally {
    busy = false;
  }
  if (again) { again = false; await refresh(); }
}
for (const head of document.querySelectorAll("th[data-by]")) {
  const text = head.textContent;
  head.textContent = "";
  button(head, text, () => {
    down = by === head.dataset.by && !down;
    by = head.dataset.by;
    for (const one of document.querySelectorAll("th[data-by]")) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    refresh();
  });
}
function filter() { after = ""; refresh(); }
byId("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 200); });
byId("state").addEventListener("change", filter);
byId("filter").addEventListener("submit", event => { event.preventDefault(); filter(); });
byId("more").addEventListener("click", () => { after = next; refresh(); });
byId("back").addEventListener("click", () => { after = ""; refresh(); });
dark.addEventListener("change", () => refresh());
byId("kind").addEventListener("change", () => refresh());
byId("login").addEventListener("submit", event => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token").value);
  refresh();
});
refresh();
setInterval(() => { if (!document.hidden) refresh(false); }, 2000);
