"use strict";
// The run: what happened, as arrays, and which lane each thing is in. Times
// are nanoseconds since the run began.

const run = JSON.parse(document.getElementById("run").textContent);
const names = run.names;

// Rows of `width` numbers, flat.
function rows(flat, width) {
  const all = [];
  for (let i = 0; i < flat.length; i += width) {
    all.push(flat.slice(i, i + width));
  }
  return all;
}

const notes = rows(run.notes, 6).map((row) => (
  {kind: "note", t: row[0], who: row[1], what: names[row[2]],
   whom: names[row[3]], number: row[4], fault: row[5] === 1}));
const packets = rows(run.packets, 6).map((row) => (
  {kind: "packet", sent: row[0], t: row[1], who: row[3], from: row[2],
   what: names[row[4]], bytes: row[5]}));
const spans = rows(run.spans, 4).map((row) => (
  {kind: "span", t: row[0], ends: row[1], who: row[2], name: names[row[3]]}));

const ENDS = new Set(
  ["is killed", "exits", "loses power", "dies at a disk call"]);

function styleOf(note) {
  if (note.fault) return "fault";
  if (ENDS.has(note.what)) return "crash";
  if (note.what === "acknowledges" || note.what === "hears that") return "ack";
  if (note.what === "starts") return "start";
  return "note";
}
for (const note of notes) note.style = styleOf(note);

function classOf(span) {
  if (span.name === "runs") return "runs";
  if (span.name.startsWith("leads")) return "reign";
  if (span.name.startsWith("cut off")) return "cut";
  if (span.name === "paused") return "paused";
  if (span.name === "no power") return "power";
  return "other";
}
for (const span of spans) {
  span.class = classOf(span);
  const epoch = /epoch (\d+)/.exec(span.name);
  if (epoch) span.epoch = Number(epoch[1]);
}

// Lanes: one for each host, those that matter most first.
const RANKS = ["master", "replica", "agent", "framework", "marathon",
               "chronos", "client", "zookeeper", "network"];

function rankOf(host) {
  const kind = host.replace(/[\d.]+$/, "");
  const rank = RANKS.indexOf(kind);
  return rank < 0 ? RANKS.length - 3 : rank;
}

const hostOf = names.map((name) => name.split("/")[0]);
const inner = names.map((name) => name.includes("/"));

function buildLanes() {
  const hosts = new Set();
  for (const note of notes) hosts.add(hostOf[note.who]);
  for (const span of spans) hosts.add(hostOf[span.who]);
  for (const packet of packets) {
    hosts.add(hostOf[packet.who]).add(hostOf[packet.from]);
  }
  return [...hosts].sort((a, b) => rankOf(a) - rankOf(b) ||
      a.localeCompare(b, "en", {numeric: true}))
    .map((name, index) => (
      {name, index, notes: [], packets: [], spans: [], rows: 0}));
}

const lanes = buildLanes();
const laneByHost = new Map(lanes.map((lane) => [lane.name, lane]));
const laneOf = names.map((_, i) => laneByHost.get(hostOf[i]));

for (const note of notes) laneOf[note.who].notes.push(note);
for (const packet of packets) laneOf[packet.who].packets.push(packet);
spans.sort((a, b) => a.t - b.t || b.ends - a.ends);
for (const span of spans) laneOf[span.who].spans.push(span);

// Cuts and what runs inside a host get rows of their own; the last row takes
// all that do not fit.
function assignRows(lane, which, limit) {
  const free = [];
  for (const span of lane.spans) {
    if (!which(span)) continue;
    let row = free.findIndex((until) => until <= span.t);
    if (row < 0) row = Math.min(free.length, limit - 1);
    free[row] = Math.max(free[row] || 0, span.ends);
    span.row = row;
  }
  return free.length;
}

const MAIN = 40;
const ROW = 6;
let total = 0;
for (const lane of lanes) {
  const inside = assignRows(
    lane, (span) => span.class === "runs" && inner[span.who], 4);
  const cuts = assignRows(lane, (span) => span.class === "cut", 3);
  const others = assignRows(lane, (span) => span.class === "other", 2);
  lane.inside = inside;
  lane.cuts = cuts;
  lane.top = total;
  lane.height = MAIN + (inside + cuts + others) * ROW + 4;
  total += lane.height;
}

// A note or a span in words.
function wordsOf(item) {
  if (item.kind === "packet") {
    return `${item.what} ${names[item.from]}`;
  }
  if (item.kind === "span") return item.name;
  return item.whom ? `${item.what} ${item.whom}` : item.what;
}

function timeText(ns, digits = 6) {
  return (ns / 1e9).toFixed(digits) + " s";
}

function lengthText(ns) {
  if (ns >= 1e9) return (ns / 1e9).toFixed(3) + " s";
  if (ns >= 1e6) return (ns / 1e6).toFixed(3) + " ms";
  if (ns >= 1e3) return (ns / 1e3).toFixed(3) + " µs";
  return ns + " ns";
}

// The first index whose time is not below `t`.
function lowerBound(items, t) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].t < t) low = middle + 1; else high = middle;
  }
  return low;
}

// What a reader wants to know first, by time.
const STORY_LIMIT = 1500;

function buildStory() {
  const story = [];
  for (const span of spans) {
    if (span.class === "reign") {
      story.push({t: span.t, item: span, class: "reign"});
    } else if (span.class === "cut" || span.class === "paused" ||
               span.class === "power") {
      story.push({t: span.t, item: span,
                  class: span.class === "cut" ? "cut" : "fault"});
    }
  }
  for (const note of notes) {
    if (note.style === "crash" || note.fault) {
      story.push({t: note.t, item: note, class: note.style});
    }
  }
  story.sort((a, b) => a.t - b.t);
  return story;
}

const story = buildStory();
