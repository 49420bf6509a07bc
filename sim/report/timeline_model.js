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
  // What runs inside a host comes and goes.
  if (names[note.who].includes("/")) return "note";
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
  if (span.name === "paused" || span.name === "asleep") return "paused";
  if (span.name === "no power") return "power";
  return "other";
}
for (const span of spans) {
  span.class = classOf(span);
  const epoch = /epoch (\d+)/.exec(span.name);
  if (epoch) span.epoch = Number(epoch[1]);
}

// Epochs in their order: neighbours differ in colour.
const epochs = [...new Set(spans.filter((span) => span.epoch !== undefined)
  .map((span) => span.epoch))].sort((a, b) => a - b);
for (const span of spans) span.reign = epochs.indexOf(span.epoch);

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

// The stretches in which a lane is cut off from some others, and from how many.
function cutDepths(lane) {
  const edges = [];
  for (const span of lane.spans) {
    if (span.class !== "cut") continue;
    edges.push([span.t, 1], [span.ends, -1]);
  }
  edges.sort((a, b) => a[0] - b[0]);
  const depths = [];
  let depth = 0, from = 0;
  for (const [t, by] of edges) {
    if (depth > 0 && t > from) depths.push({t: from, ends: t, depth});
    depth += by;
    from = t;
  }
  return depths;
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
  lane.cutDepths = cutDepths(lane);
  lane.top = total;
  // Without a process of its own there is only room for its notes.
  lane.main = lane.spans.length > 0 ? MAIN : MAIN / 2;
  lane.height = lane.main + (inside + cuts + others) * ROW + 4;
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

// Links that are cut at one instant are one cut: of the host that is on all of
// them, if there is one.
function wordsOfCuts(cuts) {
  if (cuts.length === 1) return `${names[cuts[0].who]} ${cuts[0].name}`;
  const pairs = cuts.map((cut) =>
    [names[cut.who], cut.name.slice("cut off from ".length)]);
  const all = pairs[0].find((host) => pairs.every((pair) =>
    pair.includes(host)));
  if (!all) return `${cuts.length} links are cut`;
  const others = new Set(pairs.flat());
  return others.size === 2 ? pairs[0].join(" and ") + " cut off from each other"
    : `${all} cut off from ${others.size - 1} hosts`;
}

function storyOfCuts() {
  const byTime = new Map();
  for (const span of spans) {
    if (span.class !== "cut") continue;
    if (!byTime.has(span.t)) byTime.set(span.t, []);
    byTime.get(span.t).push(span);
  }
  return [...byTime.values()].map((cuts) => (
    {t: cuts[0].t, item: cuts[0], class: "cut", words: wordsOfCuts(cuts)}));
}

// What is told again and again is told once, with how often.
function withoutRepeats(story) {
  const told = [];
  for (const entry of story) {
    const last = told[told.length - 1];
    if (last && last.words === entry.words) {
      ++last.times;
    } else {
      told.push({...entry, times: 1});
    }
  }
  for (const entry of told) {
    if (entry.times > 1) entry.words += ` (${entry.times} times)`;
  }
  return told;
}

function buildStory() {
  const story = storyOfCuts();
  const powerless = new Set();
  for (const span of spans) {
    if (span.class === "power") powerless.add(span.who + " " + span.t);
    const [kind, what] = {
      reign: ["reign", span.name], paused: ["fault", "is " + span.name],
      power: ["crash", "loses power"]}[span.class] || [];
    if (!kind) continue;
    story.push({t: span.t, item: span, class: kind,
                words: `${names[span.who]} ${what}`});
  }
  for (const note of notes) {
    // That a host has no power is said once.
    if (powerless.has(note.who + " " + note.t)) continue;
    if (note.style === "crash" || note.fault) {
      story.push({t: note.t, item: note, class: note.style});
    }
  }
  for (const entry of story) {
    entry.words = entry.words ||
      `${names[entry.item.who]} ${wordsOf(entry.item)}`;
  }
  return withoutRepeats(story.sort((a, b) => a.t - b.t));
}

const story = buildStory();
