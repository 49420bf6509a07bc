// The timeline: draws the lanes on a canvas of the size of the window, so that
// a long run costs no more than a short one, and answers wheel, mouse and
// keys.

const $ = (id) => document.getElementById(id);
const stage = $("stage"), overview = $("overview"), scroller = $("scroll");
const AXIS = 26;
const PACKETS_AT_ONCE = 3000;
const END = Math.max(run.end, 1);

const view = {from: 0, to: END};
const shown = {packets: true, ack: true, fault: true, crash: true, note: false,
               cut: true};
let chosen = null;
let chosenLane = lanes[0];
let colors = {};
let reigns = [];

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue("--" + name).trim();
  colors = {};
  for (const name of ["page", "panel", "line", "grid", "text", "dim", "runs",
    "down", "power", "paused", "cut", "cut-soft", "packet", "ack", "crash",
    "fault", "start", "note", "focus", "bad"]) {
    colors[name] = get(name);
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  reigns = [212, 152, 28, 330, 258, 186, 62, 0].map((hue) => ({
    fill: `hsl(${hue} ${dark ? "45% 34%" : "62% 74%"})`,
    edge: `hsl(${hue} ${dark ? "65% 62%" : "60% 38%"})`}));
}

const x = (t) => (t - view.from) / (view.to - view.from) * stage.clientWidth;
const timeAt = (px) =>
  view.from + px / stage.clientWidth * (view.to - view.from);

function show(from, to) {
  let width = Math.min(Math.max(to - from, 1000), END * 1.04);
  const middle = (from + to) / 2;
  from = Math.min(Math.max(middle - width / 2, -END * 0.02),
    END * 1.02 - width);
  view.from = from;
  view.to = from + width;
  redraw();
}

function zoom(factor, around = (view.from + view.to) / 2) {
  show(around - (around - view.from) * factor,
    around + (view.to - around) * factor);
}

function pan(part) {
  const by = (view.to - view.from) * part;
  show(view.from + by, view.to + by);
}

// So that `item` is in view, with room around it.
function reveal(item) {
  const width = view.to - view.from;
  if (item.t < view.from + width * 0.05 || item.t > view.to - width * 0.05) {
    show(item.t - width / 2, item.t + width / 2);
  }
  const lane = laneOf[item.who];
  if (lane.top < scroller.scrollTop) {
    scroller.scrollTop = lane.top;
  } else if (lane.top + lane.height + AXIS >
             scroller.scrollTop + scroller.clientHeight) {
    scroller.scrollTop = lane.top + lane.height + AXIS - scroller.clientHeight;
  }
}

// --- Drawing ---------------------------------------------------------------

function fit(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) ||
      canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

let pending = false;
function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; draw(); drawOverview(); });
}

function tickStep() {
  const wanted = (view.to - view.from) / (stage.clientWidth / 110);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= wanted);
}

function tickText(t, step) {
  const digits = Math.max(0, Math.min(9, Math.ceil(9 - Math.log10(step))));
  return (t / 1e9).toFixed(digits) + " s";
}

function drawGrid(pen, height) {
  const step = tickStep();
  pen.fillStyle = colors.grid;
  for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
    if (t >= 0) pen.fillRect(Math.round(x(t)) + 0.5, AXIS, 1, height - AXIS);
  }
}

function drawAxis(pen, width) {
  const step = tickStep();
  pen.font = "11.5px system-ui, sans-serif";
  pen.textAlign = "left";
  for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
    if (t < 0) continue;
    const at = Math.round(x(t)) + 0.5;
    pen.fillStyle = colors.dim;
    pen.fillRect(at, AXIS - 5, 1, 5);
    pen.fillText(tickText(t, step), at + 4, AXIS - 8);
  }
  pen.fillStyle = colors.line;
  pen.fillRect(0, AXIS - 1, width, 1);
}

function drawEnd(pen, width, height) {
  const at = x(END);
  pen.fillStyle = colors.page;
  if (at < width) pen.fillRect(at, AXIS, width - at, height);
  if (x(0) > 0) pen.fillRect(0, AXIS, x(0), height);
  pen.fillStyle = run.failed ? colors.bad : colors.line;
  pen.fillRect(at, AXIS - 10, run.failed ? 2 : 1, height);
  if (!run.failed) return;
  pen.textAlign = "right";
  pen.font = "600 11.5px system-ui, sans-serif";
  pen.fillText(run.verdict, at - 4, AXIS + 11);
}

// Stripes, for what stands still.
function hatch(pen, left, top, width, height, color) {
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  pen.strokeStyle = color;
  pen.lineWidth = 1.5;
  const first = Math.max(left, -8) - height;
  const last = Math.min(left + width, stage.clientWidth + 8);
  pen.beginPath();
  for (let at = first - (first % 6); at < last; at += 6) {
    pen.moveTo(at, top + height);
    pen.lineTo(at + height, top);
  }
  pen.stroke();
  pen.restore();
}

function drawReign(pen, span, left, width, top) {
  const color = reigns[span.reign % reigns.length];
  pen.fillStyle = color.fill;
  pen.fillRect(left, top + 9, width, 22);
  pen.fillStyle = color.edge;
  pen.fillRect(left, top + 9, Math.min(3, width), 22);
  const text = width > 90 ? span.name : "epoch " + span.epoch;
  const visible = Math.max(left, 0);
  if (left + width - visible < 58) return;
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width - 2, 40);
  pen.clip();
  pen.fillStyle = colors.text;
  pen.textAlign = "left";
  pen.font = "11.5px system-ui, sans-serif";
  pen.fillText(text, visible + 8, top + 24);
  pen.restore();
}

// Where a span is drawn, of the lane's top.
function placeOf(lane, span) {
  const below = lane.main - 3;
  switch (span.class) {
    case "reign": return [9, 22];
    case "cut": return [below + (lane.inside + span.row) * ROW, ROW - 2];
    case "other":
      return [below + (lane.inside + lane.cuts + span.row) * ROW, ROW - 2];
    case "runs":
      return inner[span.who] ? [below + span.row * ROW, ROW - 2] : [13, 14];
    default: return [13, 14];
  }
}

function drawSpan(pen, lane, span, top) {
  const left = x(span.t);
  const width = Math.max(x(span.ends) - left, 1);
  if (left > stage.clientWidth || left + width < 0) return;
  const [offset, height] = placeOf(lane, span);
  if (span.class === "reign") {
    drawReign(pen, span, left, width, top);
  } else if (span.class === "paused") {
    pen.fillStyle = colors.panel;
    pen.fillRect(left, top + offset, width, height);
    hatch(pen, left, top + offset, width, height, colors.paused);
  } else {
    pen.fillStyle = {runs: colors.runs, cut: colors.cut,
      power: colors.power}[span.class] || colors.dim;
    if (span.class === "cut" && !shown.cut) return;
    pen.fillRect(left, top + offset, width, height);
  }
  if (span === chosen) {
    pen.strokeStyle = colors.focus;
    pen.lineWidth = 2;
    pen.strokeRect(left - 1, top + offset - 2, width + 2, height + 4);
  }
}

const LAYERS = ["runs", "power", "reign", "paused", "cut", "other"];

function drawLane(pen, lane, top) {
  const width = stage.clientWidth;
  if (shown.cut) {
    pen.fillStyle = colors.cut;
    for (const cut of lane.cutDepths) {
      const left = Math.max(x(cut.t), 0);
      const right = Math.min(x(cut.ends), width);
      if (right <= left) continue;
      // Both directions with all others make the strongest one.
      pen.globalAlpha = 0.05 + 0.25 * Math.min(cut.depth / lanes.length, 1);
      pen.fillRect(left, top, right - left, lane.height);
    }
    pen.globalAlpha = 1;
  }
  pen.fillStyle = colors.grid;
  pen.fillRect(0, top + lane.height - 1, width, 1);
  for (const layer of LAYERS) {
    for (const span of lane.spans) {
      if (span.class === layer) drawSpan(pen, lane, span, top);
    }
  }
}

const SYMBOLS = {
  crash(pen, at, y) {
    pen.strokeStyle = colors.crash;
    pen.lineWidth = 2.4;
    pen.beginPath();
    pen.moveTo(at - 5, y - 5);
    pen.lineTo(at + 5, y + 5);
    pen.moveTo(at + 5, y - 5);
    pen.lineTo(at - 5, y + 5);
    pen.stroke();
  },
  fault(pen, at, y) {
    pen.fillStyle = colors.fault;
    pen.strokeStyle = colors.panel;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(at, y - 6);
    pen.lineTo(at + 5, y);
    pen.lineTo(at, y + 6);
    pen.lineTo(at - 5, y);
    pen.closePath();
    pen.fill();
    pen.stroke();
  },
  ack(pen, at, y) {
    pen.fillStyle = colors.ack;
    pen.fillRect(at - 0.75, y - 4, 1.5, 8);
  },
  start(pen, at, y) {
    pen.fillStyle = colors.start;
    pen.beginPath();
    pen.moveTo(at - 4, y + 4);
    pen.lineTo(at + 4, y);
    pen.lineTo(at - 4, y - 4);
    pen.closePath();
    pen.fill();
  },
  note(pen, at, y) {
    pen.fillStyle = colors.note;
    pen.beginPath();
    pen.arc(at, y, 2, 0, 7);
    pen.fill();
  },
};
const SYMBOL_Y = {ack: 4.5, crash: 20, fault: 34, start: 20, note: 34};
const symbolY = (lane, style) =>
  lane.main === MAIN ? SYMBOL_Y[style] : lane.main / 2 + 2;

const visible = (note) =>
  note.style === "start" ? shown.crash : shown[note.style];

// One symbol of a kind for each pixel: what is dense is thinned out.
function drawNotes(pen, lane, top) {
  const last = {};
  const first = lowerBound(lane.notes, timeAt(-8));
  for (let i = first; i < lane.notes.length; ++i) {
    const note = lane.notes[i];
    const at = x(note.t);
    if (at > stage.clientWidth + 8) break;
    if (!visible(note)) continue;
    const column = Math.round(at);
    if (last[note.style] === column) continue;
    last[note.style] = column;
    SYMBOLS[note.style](pen, at, top + symbolY(lane, note.style));
  }
  if (chosen && chosen.kind === "note" && laneOf[chosen.who] === lane) {
    ring(pen, x(chosen.t), top + symbolY(lane, chosen.style));
  }
}

function ring(pen, at, y) {
  pen.strokeStyle = colors.focus;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(at, y, 9, 0, 7);
  pen.stroke();
}

const middleOf = (lane) =>
  lane.top + AXIS + lane.main / 2 - scroller.scrollTop;

// From the edge of one lane's bar to that of the other's.
function lineOf(packet) {
  const from = laneOf[packet.from], to = laneOf[packet.who];
  const y1 = middleOf(to);
  const y0 = from === to ? y1 + 30 : middleOf(from);
  const edge = Math.sign(y1 - y0) * 11;
  return {x0: x(packet.sent), y0: y0 + edge, x1: x(packet.t), y1: y1 - edge};
}

function drawPacket(pen, packet) {
  const {x0, y0, x1, y1} = lineOf(packet);
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
}

// All while there are few, and none of too many to tell apart.
function drawPackets(pen) {
  const first = lowerBound(packets, view.from);
  const last = lowerBound(packets, view.to + (view.to - view.from) * 0.1);
  const few = shown.packets && last - first <= PACKETS_AT_ONCE;
  if (few) {
    pen.strokeStyle = colors.packet;
    pen.lineWidth = 1;
    pen.globalAlpha = last - first > 300 ? 0.45 : 1;
    pen.beginPath();
    for (let i = first; i < last; ++i) drawPacket(pen, packets[i]);
    pen.stroke();
    pen.globalAlpha = 1;
  }
  if (chosen && chosen.kind === "packet") {
    pen.strokeStyle = colors.focus;
    pen.lineWidth = 2.5;
    pen.beginPath();
    drawPacket(pen, chosen);
    pen.stroke();
  }
}

function draw() {
  const width = stage.clientWidth, height = scroller.clientHeight;
  stage.style.height = height + "px";
  const pen = fit(stage, width, height);
  pen.save();
  pen.beginPath();
  pen.rect(0, AXIS, width, height);
  pen.clip();
  drawGrid(pen, height);
  const visibleLanes = lanes.filter((lane) =>
    lane.top + lane.height + AXIS > scroller.scrollTop &&
    lane.top + AXIS < scroller.scrollTop + height);
  for (const lane of visibleLanes) {
    drawLane(pen, lane, lane.top + AXIS - scroller.scrollTop);
  }
  drawPackets(pen);
  for (const lane of visibleLanes) {
    drawNotes(pen, lane, lane.top + AXIS - scroller.scrollTop);
  }
  pen.restore();
  drawAxis(pen, width);
  drawEnd(pen, width, height);
}

function drawOverview() {
  const width = overview.clientWidth, height = overview.clientHeight;
  const pen = fit(overview, width, height);
  const at = (t) => t / END * width;
  const cuts = lanes.flatMap((lane) => lane.cutDepths);
  pen.fillStyle = colors["cut-soft"];
  let until = 0;
  for (const {t, ends} of cuts.sort((a, b) => a.t - b.t)) {
    const from = Math.max(t, until);
    if (ends > from) pen.fillRect(at(from), 0, at(ends) - at(from), height);
    until = Math.max(until, ends);
  }
  for (const span of spans) {
    const left = at(span.t), long = Math.max(at(span.ends) - left, 1);
    if (span.class === "reign") {
      pen.fillStyle = reigns[span.reign % reigns.length].edge;
      pen.fillRect(left, height - 7, long, 5);
    }
  }
  for (const {t, class: kind} of story) {
    if (kind !== "crash" && kind !== "fault") continue;
    pen.fillStyle = colors[kind];
    pen.fillRect(at(t) - 0.5, kind === "crash" ? 4 : 14, 1.5, 10);
  }
  pen.fillStyle = colors.page;
  pen.globalAlpha = 0.72;
  pen.fillRect(0, 0, at(view.from), height);
  pen.fillRect(at(view.to), 0, width, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = colors.focus;
  pen.lineWidth = 1.5;
  pen.strokeRect(at(view.from) + 0.75, 0.75,
    Math.max(at(view.to) - at(view.from) - 1.5, 2), height - 1.5);
}
