"use strict";
// A failing script reports that in the page, where people and tests see it.
window.addEventListener("error", (event) => { document.documentElement.dataset.error = event.message; });

const run = JSON.parse(document.getElementById("run").textContent);
const entries = run.entries;
const byId = (id) => document.getElementById(id);
const NS = "http://www.w3.org/2000/svg";

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Times: nanoseconds since the run began.
function told(nanoseconds, digits) {
  const seconds = nanoseconds / 1e9;
  return seconds.toFixed(digits === undefined ? 6 : digits) + " s";
}

// The description of each kind of event.
const disk = (number) => (number === null ? "" : ` on disk ${number}`);
const WORDS = {
  "begun": (e) => `the run begins with ${e.disks.length} disks and ${e.clusters.map((c) => c.label).join(", ")}`,
  "round": (e) => `round: ${e.name}, of ${e.cluster}`,
  "opened": (e) => `${e.cluster}: opened, nodes: ${e.nodes.map((d) => (d === null ? "something else" : `disk ${d}`)).join(", ")}`,
  "refused": (e) => `not mounted: ${e.why}: ${e.text}`,
  "ended": (e) => (e.by_power_cut ? "the mount ended with the power" : "the mount ends"),
  "power-cut": () => "the power goes",
  "fault": (e) => `fault: ${e.name}${disk(e.disk)}`,
  "fault-over": (e) => `over: ${e.name}${disk(e.disk)}${e.has_struck ? "" : ", which no request met"}`,
  "node": (e) => `disk ${e.disk} (node ${e.node}) is ${e.detail}${e.state === "repair" ? ", and is being brought in step" : ""}`,
  "commit": (e) => `disk ${e.disk} has commit ${e.version}`,
  "cluster": (e) => `cluster: ${e.health}, ${e.in_sync} of ${e.masters} masters in sync, version ${e.version}`,
  "members": (e) => `members of ${e.cluster}: ${e.change}, ${e.outcome}: ${e.roles.map((r, d) => (r ? `disk ${d} ${r}` : "")).filter(Boolean).join(", ")}`,
  "step": (e) => `client ${e.client}, step ${e.number}: ${e.detail.startsWith(e.what) ? "" : e.what}${e.detail && !e.detail.startsWith(e.what) ? ": " : ""}${e.detail} (${told(e.at - e.began)})`,
  "durable": (e) => (e.error === null ? "acknowledged: all that was done is durable" : `not acknowledged: ${e.error}`),
  "served": () => "what is served is what may be served",
  "kept": (e) => `by itself: ${e.text}`,
  "verdict": (e) => `seen: ${e.name}`,
  "suspicion": (e) => `suspected: ${e.text}`,
  "wrong": (e) => `WRONG: ${e.text}`,
  "held": (e) => `disk ${e.disk} on its own, beside what was acknowledged last: ${e.text}`,
};
const describe = (entry) => (WORDS[entry.kind] || JSON.stringify)(entry);

// The items to draw, by lanes.
const begun = entries.find((entry) => entry.kind === "begun") || { disks: [], clusters: [] };
const end = entries.length;
const lastTime = end ? entries[end - 1].at : 0;

// The place of each event on the axis: its time, less the shortening of earlier pauses.
const times = entries.map((entry) => entry.at);
const PLACES = { time: times, shortened: shortened() };
let places = PLACES.shortened;

// A minute of mere waiting would hide everything else, so no pause is longer than a few usual ones. Simultaneous events lie side
// by side.
function shortened() {
  const pauses = times.map((time, index) => time - (index ? times[index - 1] : 0));
  const usual = pauses.filter((pause) => pause > 0).sort((one, other) => one - other);
  const most = 4 * (usual[Math.floor(usual.length * 0.9)] || 1);
  let place = 0;
  return pauses.map((pause) => (place += Math.max(Math.min(pause, most), most / 60)));
}

// The first event whose number in an ascending list is at least this.
function firstFrom(list, least) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < least) low = middle + 1; else high = middle;
  }
  return low;
}

// Maps a place in one list to one in another, in proportion between two events.
function converted(from, to, value) {
  const next = firstFrom(from, value);
  if (next >= end) return end ? to[end - 1] : 0;
  const [low, high] = next ? [from[next - 1], from[next]] : [0, from[0]];
  const [start, stop] = next ? [to[next - 1], to[next]] : [0, to[0]];
  return high > low ? start + (value - low) / (high - low) * (stop - start) : stop;
}
const placeOf = (index) => (end ? places[Math.min(index, end - 1)] : 0);
const placeAt = (time) => converted(times, places, time);
const wholeEnd = () => Math.max(placeOf(end), 1) * 1.01;

function lane(name, id, height, role) {
  return { name, id, height, role: role || "", spans: [], marks: [] };
}

const rolesOf = (number) => begun.clusters
  .map((cluster) => (cluster.roles[number] ? `${cluster.roles[number]} of ${cluster.label}` : "")).filter(Boolean).join(", ");
const rounds = lane("rounds", "rounds", 24);
const cluster = lane("cluster", "cluster", 34, "epochs, members");
const disks = begun.disks.map((_, number) => lane(`disk ${number}`, `disk-${number}`, 42, rolesOf(number) || "no member"));
const clients = [];
const others = lane("seen", "seen", 20, "verdicts");

const closers = [];
function close(lanes, index) { lanes.forEach((each) => { if (each.open) { each.open.to = index; each.open = null; } }); }
function open(each, index, style, label) {
  if (each.open) each.open.to = index;
  each.open = { from: index, to: end, style, label, entry: index };
  each.spans.push(each.open);
}

(function arrange() {
  const faulty = disks.map(() => new Map());
  const roles = new Map(begun.clusters.map((each) => [each.label, each.roles]));
  let epoch = null, odd = false;
  entries.forEach((entry, index) => {
    const mark = (each, style, symbol, row) => { if (each) each.marks.push({ at: index, style, symbol, row, entry: index }); };
    switch (entry.kind) {
      case "round":
        odd = !odd;
        open(rounds, index, "band-round" + (odd ? " odd" : ""), `${entry.name}, ${entry.cluster}`);
        break;
      case "ended":
        close([cluster, ...disks], index);
        break;
      case "power-cut":
        mark(rounds, "power", "cross", 0.5);
        break;
      case "node":
        if (disks[entry.disk]) open(disks[entry.disk], index, `state-${entry.state}`, entry.state === "in-sync" ? "in sync" : entry.state);
        break;
      case "commit":
        mark(disks[entry.disk], "commit", "bar", 0.86);
        break;
      case "cluster":
        open(cluster, index, `health-${entry.health}`, `${entry.health} ${entry.version}`);
        if (epoch !== entry.epoch) mark(cluster, "epoch", "diamond", 0.84);
        epoch = entry.epoch;
        break;
      case "fault":
        if (entry.disk === null) { mark(rounds, "fault", "triangle", 0.5); break; }
        mark(disks[entry.disk], "fault", "triangle", 0.12);
        if (disks[entry.disk]) faulty[entry.disk].set(entry.name, index);
        break;
      case "fault-over": {
        const from = faulty[entry.disk] && faulty[entry.disk].get(entry.name);
        if (from !== undefined) {
          disks[entry.disk].spans.push({ from, to: index, style: "under-fault", thin: true, entry: from });
          faulty[entry.disk].delete(entry.name);
        }
        break;
      }
      case "members": {
        mark(cluster, "members", "square", 0.84);
        const old = roles.get(entry.cluster) || [];
        entry.roles.forEach((role, number) => { if (role !== old[number]) mark(disks[number], "members", "square", 0.86); });
        if (entry.outcome !== "begun") roles.set(entry.cluster, entry.roles);
        break;
      }
      case "step": {
        while (clients.length <= entry.client) clients.push(lane(`client ${clients.length}`, `client-${clients.length}`, 20));
        clients[entry.client].spans.push({ began: entry.began, to: index, style: entry.has_failed ? "step failed" : "step", label: entry.what, entry: index });
        break;
      }
      case "durable":
        mark(cluster, entry.error === null ? "acked" : "lost", "dot", 0.84);
        break;
      case "suspicion": case "wrong":
        mark(rounds, "wrong", "cross", 0.5);
        break;
      case "held":
        mark(disks[entry.disk], "wrong", "dot", 0.5);
        break;
      case "begun": case "opened": case "served": case "kept": case "verdict": case "refused":
        mark(others, "verdict", "dot", 0.5);
        break;
    }
  });
})();
const lanes = [rounds, cluster, ...disks, ...clients, others];

// The picture.
const GUTTER = 128, AXIS = 22;
let view = [0, 1], chosen = null, width = 1000;
const height = AXIS + lanes.reduce((sum, each) => sum + each.height, 0);
const svg = shape("svg", { role: "img", tabindex: "0", "aria-label": "lanes of nodes and clients over virtual time", height });
byId("picture").append(svg);

const xOf = (place) => GUTTER + (place - view[0]) / (view[1] - view[0]) * (width - GUTTER);
const placeOfX = (x) => view[0] + (x - GUTTER) / (width - GUTTER) * (view[1] - view[0]);
const SYMBOLS = {
  bar: (x, y) => `M${x - 1} ${y - 5}h2v10h-2z`,
  dot: (x, y) => `M${x - 3} ${y}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z`,
  diamond: (x, y) => `M${x} ${y - 5}l4 5l-4 5l-4 -5z`,
  square: (x, y) => `M${x - 4} ${y - 4}h8v8h-8z`,
  triangle: (x, y) => `M${x - 5} ${y - 4}h10l-5 9z`,
  cross: (x, y) => `M${x - 5} ${y - 3}l2 -2l3 3l3 -3l2 2l-3 3l3 3l-2 2l-3 -3l-3 3l-2 -2l3 -3z`,
};

function fits(text, room) { return text && room > text.length * 6.2 + 8; }

function drawLane(each, top, into) {
  const group = shape("g", { class: "lane", "data-lane": each.id });
  const clip = (x) => Math.min(Math.max(x, GUTTER), width);
  let drawnTo = -1;
  for (const span of each.spans) {
    const from = span.began === undefined ? placeOf(span.from) : placeAt(span.began);
    const [left, right] = [xOf(from), xOf(placeOf(span.to))];
    if (right < GUTTER || left > width) continue;
    const [x, room] = [clip(left), Math.max(clip(right) - clip(left), 1.5)];
    // An item narrower than a pixel that an earlier one hides isn't drawn.
    if (!span.thin && room <= 1.5 && x + room <= drawnTo) continue;
    if (!span.thin) drawnTo = Math.max(drawnTo, x + room);
    const tall = each.height > 36;
    const [y, high] = span.thin ? [top + 2, 5] : tall ? [top + 10, each.height - 22] : each === cluster ? [top + 3, 17] : [top + 3, each.height - 6];
    group.append(shape("rect", { x, y, width: room, height: high, class: span.style, "data-entry": span.entry }));
    if (!span.thin && fits(span.label, room)) {
      const style = span.style.startsWith("band") ? "band" : "on";
      group.append(shape("text", { x: x + (style === "band" ? 8 : 4), y: y + high / 2 + 4, class: style }, span.label));
    }
  }
  const last = new Map();
  for (const mark of each.marks) {
    const x = xOf(placeOf(mark.at));
    if (x < GUTTER - 4 || x > width + 4) continue;
    // Overlapping marks of one kind are drawn as one.
    const key = mark.style + mark.row;
    if (last.has(key) && x - last.get(key) < 2.5) continue;
    last.set(key, x);
    group.append(shape("path", { d: SYMBOLS[mark.symbol](x, top + each.height * mark.row), class: mark.style, "data-entry": mark.entry }));
  }
  into.append(group);
}

function ticks() {
  const count = Math.max(2, Math.floor((width - GUTTER) / 130));
  if (places !== times) {
    const evenly = Array.from({ length: count }, (_, number) => view[0] + (view[1] - view[0]) * number / count);
    return evenly.map((place) => [place, told(converted(places, times, place))]);
  }
  const raw = (view[1] - view[0]) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw);
  const digits = Math.max(0, Math.min(9, 9 - Math.floor(Math.log10(step))));
  const found = [];
  for (let place = Math.ceil(view[0] / step) * step; place < view[1] && found.length < 100; place += step) found.push([place, told(place, digits)]);
  return found;
}

let isPending = false, isListMoved = false;
function redraw() { if (!isPending) { isPending = true; requestAnimationFrame(draw); } }

function draw() {
  isPending = false;
  width = Math.max(svg.clientWidth || 1000, 400);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  let top = AXIS;
  lanes.forEach((each, number) => {
    svg.append(shape("rect", { x: 0, y: top, width, height: each.height, class: "lane-back" + (number % 2 ? " odd" : "") }));
    top += each.height;
  });
  for (const [place, text] of ticks()) {
    const x = xOf(place);
    svg.append(shape("line", { x1: x, x2: x, y1: AXIS, y2: height, class: "grid" }));
    svg.append(shape("text", { x: x + 3, y: 14, class: "tick" }, text));
  }
  top = AXIS;
  for (const each of lanes) { drawLane(each, top, svg); top += each.height; }
  const line = (index, style) => {
    if (index === null) return;
    const x = xOf(placeOf(index));
    if (x >= GUTTER && x <= width) svg.append(shape("line", { x1: x, x2: x, y1: AXIS, y2: height, class: style }));
  };
  entries.forEach((entry, index) => { if (entry.kind === "power-cut") line(index, "power-line"); });
  line(run.parting, "parting-line");
  line(run.wrong, "wrong-line");
  line(chosen, "chosen-line");
  top = AXIS;
  svg.append(shape("rect", { x: 0, y: 0, width: GUTTER - 4, height, class: "gutter" }));
  for (const each of lanes) {
    const middle = top + each.height / 2;
    svg.append(shape("text", { x: 10, y: middle + (each.role && each.height > 30 ? -1 : 4), class: "name" }, each.name));
    if (each.role && each.height > 30) {
      const short = each.role.length > 21 ? each.role.slice(0, 20) + "…" : each.role;
      const role = shape("text", { x: 10, y: middle + 12, class: "role" }, short);
      role.append(shape("title", {}, each.role));
      svg.append(role);
    }
    top += each.height;
  }
  list();
  document.documentElement.dataset.drawn = String(lanes.length);
}

// The list: events in view, or those that match the search.
const ROWS = 400;
function list() {
  const words = byId("search").value.toLowerCase();
  const [from, to] = [firstFrom(places, view[0]), firstFrom(places, view[1] + 1)];
  const rows = [];
  let matching = 0;
  for (let index = words ? 0 : from; index < (words ? end : to); index++) {
    const text = describe(entries[index]);
    if (words && !text.toLowerCase().includes(words)) continue;
    matching += 1;
    if (rows.length < ROWS) rows.push([index, text]);
  }
  const body = byId("events").tBodies[0];
  body.replaceChildren(...rows.map(([index, text]) => {
    const style = [index === chosen ? "chosen" : "", index === run.wrong ? "wrong-row" : ""].join(" ").trim();
    return element("tr", { "data-entry": index, class: style }, element("td", {}, told(entries[index].at)), element("td", {}, text));
  }));
  const row = isListMoved && body.querySelector(".chosen");
  if (row) byId("scroll").scrollTop = row.offsetTop - byId("scroll").clientHeight / 2;
  isListMoved = false;
  byId("shown").textContent = `${words ? "found" : "in view"}: ${matching}${matching > ROWS ? `, the first ${ROWS} are listed` : ""}, of ${end}`;
}

function choose(index, isMoved) {
  if (index === null || index < 0 || index >= end) return;
  chosen = index;
  const entry = entries[index];
  const fields = element("dl");
  fields.append(element("dt", {}, "when"), element("dd", {}, told(entry.at, 9)));
  for (const [key, value] of Object.entries(entry)) {
    if (key === "at") continue;
    const text = key === "began" ? told(value, 9) : typeof value === "string" ? value : JSON.stringify(value);
    fields.append(element("dt", {}, key), element("dd", {}, text));
  }
  byId("detail").replaceChildren(element("b", {}, describe(entry)), fields);
  const place = placeOf(index);
  if (isMoved && (place < view[0] || place > view[1])) {
    const half = (view[1] - view[0]) / 2;
    look(place - half, place + half);
  }
  isListMoved = Boolean(isMoved);
  redraw();
}

function look(from, to) {
  const all = wholeEnd(), least = 1000;
  const room = Math.min(Math.max(to - from, least), all);
  const middle = (from + to) / 2;
  const start = Math.min(Math.max(middle - room / 2, 0), all - room);
  view = [start, start + room];
  redraw();
}

function zoom(factor, place) {
  const at = place === undefined ? (chosen !== null && placeOf(chosen) >= view[0] && placeOf(chosen) <= view[1] ? placeOf(chosen) : (view[0] + view[1]) / 2) : place;
  look(at - (at - view[0]) * factor, at + (view[1] - at) * factor);
}

// Goes to a moment, with some time before and after it.
function goTo(index) {
  const [before, place, after] = [Math.max(0, index - 60), index, index + 12].map(placeOf);
  const reach = Math.max(place - before, (after - place) * 3, 1e6);
  look(place - reach, place + reach / 3);
  choose(index, true);
}

function setAxis(kind) {
  const [from, to] = view.map((place) => converted(places, times, place));
  places = PLACES[kind];
  look(placeAt(from), placeAt(to));
}

// Input of the user.
svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const x = event.clientX - svg.getBoundingClientRect().left;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    const by = (event.deltaX || event.deltaY) / (width - GUTTER) * (view[1] - view[0]);
    look(view[0] + by, view[1] + by);
  } else {
    zoom(event.deltaY > 0 ? 1.25 : 0.8, placeOfX(x));
  }
}, { passive: false });
let drag = null;
svg.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, view: [...view], moved: false }; });
window.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const by = (drag.x - event.clientX) / (width - GUTTER) * (drag.view[1] - drag.view[0]);
  if (Math.abs(drag.x - event.clientX) > 3) { drag.moved = true; svg.classList.add("moving"); }
  if (drag.moved) look(drag.view[0] + by, drag.view[1] + by);
});
window.addEventListener("pointerup", () => { svg.classList.remove("moving"); setTimeout(() => { drag = null; }); });
const entryOf = (event) => { const at = event.target.closest("[data-entry]"); return at ? Number(at.dataset.entry) : null; };
svg.addEventListener("click", (event) => { if (!(drag && drag.moved)) choose(entryOf(event)); });
svg.addEventListener("dblclick", (event) => zoom(0.4, placeOfX(event.clientX - svg.getBoundingClientRect().left)));
byId("events").addEventListener("click", (event) => choose(entryOf(event), true));
svg.addEventListener("pointerover", (event) => {
  const index = entryOf(event), tip = byId("tip");
  tip.hidden = index === null || drag !== null;
  if (tip.hidden) return;
  tip.textContent = `${told(entries[index].at)}  ${describe(entries[index])}`;
  tip.style.left = Math.min(event.clientX + 14, window.innerWidth - 470) + "px";
  tip.style.top = event.clientY + 16 + "px";
});
svg.addEventListener("pointerleave", () => { byId("tip").hidden = true; });
byId("zoom-in").addEventListener("click", () => zoom(0.5));
byId("zoom-out").addEventListener("click", () => zoom(2));
byId("whole").addEventListener("click", () => look(0, wholeEnd()));
byId("before").addEventListener("click", () => choose((chosen === null ? end : chosen) - 1, true));
byId("after").addEventListener("click", () => choose(chosen === null ? 0 : chosen + 1, true));
byId("search").addEventListener("input", list);
byId("axes").addEventListener("change", (event) => setAxis(event.target.value));
window.addEventListener("resize", redraw);
window.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" || event.ctrlKey || event.altKey || event.metaKey) return;
  const act = {
    "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": () => look(0, wholeEnd()),
    "ArrowLeft": () => byId("before").click(), "ArrowRight": () => byId("after").click(),
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});

// The head of the page, and the legend.
const { operations, acked_syncs, crashes, trace } = run.tally;
document.title = `hammer2-sim: seed ${run.seed}`;
byId("heading").textContent = run.violation === null ? `Seed ${run.seed}: nothing was wrong` : `Seed ${run.seed}: a promise was broken`;
byId("summary").append(
  `${operations} operations, ${acked_syncs} syncs acknowledged, ${crashes} crashes, ${told(lastTime, 3)} of virtual time, trace ${trace}. Again: `,
  element("code", {}, run.command),
);
if (run.violation !== null) {
  const box = byId("violation");
  box.hidden = false;
  box.append(element("b", {}, run.violation), element("br"));
  const button = (text, index, id) => {
    const made = element("button", { id, "data-entry": index }, `${text} (${told(entries[index].at, 3)})`);
    made.addEventListener("click", () => goTo(index));
    box.append(made);
  };
  if (run.wrong !== null) button("the first wrong moment", run.wrong, "to-wrong");
  const acked = run.wrong === null ? -1 : entries.slice(0, run.wrong).findLastIndex((entry) => entry.kind === "durable" && entry.error === null);
  if (acked >= 0) button("what was acknowledged last before it", acked, "to-acked");
  if (run.parting !== null) button(`from here on it isn't the run with the rule ${run.rule}`, run.parting, "to-parting");
}
const LEGEND = [
  ["state-in-sync", "rect", "in sync"], ["state-behind", "rect", "behind"], ["state-repair", "rect", "being brought in step"],
  ["state-out", "rect", "out"], ["state-aside", "rect", "no part of the mount"], ["fault", "triangle", "fault"],
  ["commit", "bar", "commit of a disk"], ["epoch", "diamond", "epoch"], ["members", "square", "members change"],
  ["acked", "dot", "acknowledged"], ["lost", "dot", "not acknowledged"], ["step", "rect", "step of a client"],
  ["step failed", "rect", "step that failed"], ["power", "cross", "power cut, or wrong"],
];
byId("legend").append(...LEGEND.map(([style, symbol, text]) => {
  const small = shape("svg", { viewBox: "0 0 14 12" });
  small.append(symbol === "rect" ? shape("rect", { x: 0, y: 1, width: 14, height: 10, class: style }) : shape("path", { d: SYMBOLS[symbol](7, 6), class: style }));
  return element("span", {}, small, text);
}));

look(0, wholeEnd());
if (run.wrong !== null) goTo(run.wrong);
draw();
