// What is under the mouse, the details of what is chosen, and how it is
// chosen.

function laneAt(y) {
  const inside = y - AXIS + scroller.scrollTop;
  return lanes.find((lane) =>
    inside >= lane.top && inside < lane.top + lane.height);
}

function noteAt(lane, px, py) {
  const y = py - AXIS + scroller.scrollTop - lane.top;
  let best = null, distance = 7;
  for (let i = lowerBound(lane.notes, timeAt(px - 7)); i < lane.notes.length;
    ++i) {
    const note = lane.notes[i];
    const off = Math.abs(x(note.t) - px);
    if (x(note.t) > px + 7) break;
    // Of two at one place the rarer one.
    const weight = {crash: 0, fault: 0, ack: 1, start: 1, note: 2}[note.style];
    const near = Math.abs(y - symbolY(lane, note.style)) <
      (note.style === "ack" ? 6 : 9);
    if (visible(note) && near && off + weight < distance) {
      best = note;
      distance = off + weight;
    }
  }
  return best;
}

function packetAt(px, py) {
  if (!shown.packets) return null;
  const first = lowerBound(packets, view.from);
  const last = lowerBound(packets, view.to);
  if (last - first > PACKETS_AT_ONCE) return null;
  for (let i = first; i < last; ++i) {
    const packet = packets[i];
    const {x0, y0, x1, y1} = lineOf(packet);
    const part = Math.min(Math.max(((px - x0) * (x1 - x0) + (py - y0) *
      (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2 || 1), 0), 1);
    const off = Math.hypot(x0 + part * (x1 - x0) - px,
      y0 + part * (y1 - y0) - py);
    if (off < 3) return packet;
  }
  return null;
}

function spanAt(lane, px, py) {
  const y = py - AXIS + scroller.scrollTop - lane.top;
  let best = null;
  for (const span of lane.spans) {
    const [offset, height] = placeOf(lane, span);
    if (x(span.t) - 2 <= px && px <= x(span.ends) + 2 && y >= offset - 1 &&
        y <= offset + height + 1 &&
        (!best || LAYERS.indexOf(span.class) >= LAYERS.indexOf(best.class))) {
      best = span;
    }
  }
  return best;
}

function itemAt(px, py) {
  const lane = laneAt(py);
  if (!lane) return null;
  return noteAt(lane, px, py) || packetAt(px, py) || spanAt(lane, px, py);
}

// --- Details -----------------------------------------------------------------

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function pairsOf(item) {
  const pairs = [["who", names[item.who]], ["what", wordsOf(item)]];
  if (item.kind === "span") {
    pairs.push(["from", timeText(item.t, 9)], ["to", timeText(item.ends, 9)],
      ["for", lengthText(item.ends - item.t)]);
  } else if (item.kind === "packet") {
    pairs.push(["sent", timeText(item.sent, 9)],
      ["arrived", timeText(item.t, 9)],
      ["took", lengthText(item.t - item.sent)], ["bytes", item.bytes]);
  } else {
    pairs.push(["at", timeText(item.t, 9)], ["number", item.number]);
    if (item.fault) pairs.push(["kind", "an injected fault, so often by then"]);
  }
  return pairs;
}

function rowFor(item, className,
                words = `${names[item.who]} ${wordsOf(item)}`) {
  const row = element("li");
  const button = element("button");
  button.type = "button";
  button.append(element("span", timeText(item.t, 4), "when mono"),
    element("span", words, className));
  button.addEventListener("click", () => { choose(item); reveal(item); });
  row.append(button);
  return row;
}

// What else happened on that host at about that time.
function neighbours(item) {
  const lane = laneOf[item.who];
  const list = element("ol", undefined, "near");
  const at = lowerBound(lane.notes, item.t);
  for (let i = Math.max(0, at - 5); i < Math.min(lane.notes.length, at + 6);
    ++i) {
    const row = rowFor(lane.notes[i], lane.notes[i].style);
    if (lane.notes[i] === item) row.className = "here";
    list.append(row);
  }
  return list;
}

function choose(item) {
  chosen = item;
  chosenLane = laneOf[item.who];
  for (const label of $("labels").children) {
    label.classList.toggle("chosen", label.dataset.name === chosenLane.name);
  }
  const list = element("dl");
  for (const [name, value] of pairsOf(item)) {
    list.append(element("dt", name), element("dd", String(value)));
  }
  $("details").replaceChildren(list, element("h2", "Around it"),
    neighbours(item));
  redraw();
}

function emptyDetails() {
  $("details").replaceChildren(element("p", "Click on anything for its " +
    "details. Wheel: zoom. Drag or Shift+wheel: pan. Arrow keys go from " +
    "event to event, N to the next of the story.", "dim"));
}

// --- Keys and mouse ----------------------------------------------------------

function stepNote(by) {
  const list = chosenLane.notes.filter(visible);
  if (list.length === 0) return;
  const t = chosen ? chosen.t : view.from;
  let at = list.indexOf(chosen);
  at = at >= 0 ? at + by :
    by > 0 ? lowerBound(list, t) : lowerBound(list, t) - 1;
  const item = list[Math.min(Math.max(at, 0), list.length - 1)];
  choose(item);
  reveal(item);
}

function stepLane(by) {
  const index = Math.min(Math.max(chosenLane.index + by, 0), lanes.length - 1);
  chosenLane = lanes[index];
  const list = chosenLane.notes.filter(visible);
  if (list.length === 0) return;
  const at = lowerBound(list, chosen ? chosen.t : view.from);
  const item = list[Math.min(at, list.length - 1)];
  choose(item);
  reveal(item);
}

function stepStory() {
  if (story.length === 0) return;
  const next = story.find(({t, item}) =>
    !chosen || t > chosen.t || (t === chosen.t && item !== chosen &&
      story.findIndex((s) => s.item === item) >
      story.findIndex((s) => s.item === chosen))) || story[0];
  choose(next.item);
  reveal(next.item);
}

const ACTIONS = {
  in: () => zoom(0.5, chosen ? chosen.t : undefined),
  out: () => zoom(2, chosen ? chosen.t : undefined),
  fit: () => show(-END * 0.01, END * 1.01),
  end: () => show(END - Math.min(END, 2e9), END + Math.min(END, 2e9) * 0.05),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const pans = event.shiftKey;
  const action = {
    "+": ACTIONS.in, "=": ACTIONS.in, "-": ACTIONS.out, "0": ACTIONS.fit,
    "End": ACTIONS.end, "n": stepStory,
    "ArrowLeft": () => pans ? pan(-0.2) : stepNote(-1),
    "ArrowRight": () => pans ? pan(0.2) : stepNote(1),
    "ArrowUp": () => stepLane(-1), "ArrowDown": () => stepLane(1),
  }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function onWheel(event) {
  event.preventDefault();
  const delta = event.deltaY || event.deltaX;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    return pan((event.deltaX || event.deltaY) / stage.clientWidth);
  }
  zoom(Math.exp(Math.sign(delta) * Math.min(Math.abs(delta), 100) / 400),
    timeAt(event.offsetX));
}

let drag = null;
function onDown(event) {
  drag = {x: event.offsetX, from: view.from, to: view.to, moved: false,
          scroll: scroller.scrollTop, y: event.clientY};
  stage.setPointerCapture(event.pointerId);
}

function onMove(event) {
  if (!drag) return showTip(event);
  const by = event.offsetX - drag.x;
  if (Math.abs(by) > 3 || Math.abs(event.clientY - drag.y) > 3) {
    drag.moved = true;
    stage.classList.add("drags");
  }
  if (!drag.moved) return;
  const time = by / stage.clientWidth * (drag.to - drag.from);
  show(drag.from - time, drag.to - time);
  scroller.scrollTop = drag.scroll - (event.clientY - drag.y);
}

function onUp(event) {
  const clicked = drag && !drag.moved;
  drag = null;
  stage.classList.remove("drags");
  if (!clicked) return;
  const item = itemAt(event.offsetX, event.offsetY);
  if (item) return choose(item);
  chosen = null;
  emptyDetails();
  redraw();
}

function showTip(event) {
  const item = itemAt(event.offsetX, event.offsetY);
  const tip = $("tip");
  tip.hidden = !item;
  if (!item) return;
  tip.textContent =
    `${names[item.who]} ${wordsOf(item)} · ${timeText(item.t)}`;
  const right = event.clientX + 14 + tip.offsetWidth > innerWidth;
  tip.style.left =
    (right ? event.clientX - tip.offsetWidth - 10 : event.clientX + 14) + "px";
  tip.style.top = Math.min(event.clientY + 14,
    innerHeight - tip.offsetHeight - 4) + "px";
}

function onOverview(event) {
  if (event.type === "pointerdown") {
    overview.setPointerCapture(event.pointerId);
  } else if (event.buttons === 0) {
    return;
  }
  const t = event.offsetX / overview.clientWidth * END;
  const half = (view.to - view.from) / 2;
  show(t - half, t + half);
}

let searchFrom = 0;
function onSearch(event) {
  const wanted = $("search").value.trim().toLowerCase();
  if (event.type === "input") searchFrom = 0;
  if (!wanted) {
    $("found").textContent = "";
    return;
  }
  if (event.type === "keydown" && event.key !== "Enter") return;
  const matches = [...notes, ...spans].filter((item) =>
    `${names[item.who]} ${wordsOf(item)}`.toLowerCase().includes(wanted))
    .sort((a, b) => a.t - b.t);
  $("found").textContent = matches.length === 0 ? "nothing" :
    `${searchFrom % matches.length + 1} of ${matches.length}`;
  if (matches.length === 0) return;
  const item = matches[searchFrom % matches.length];
  if (event.type === "keydown") ++searchFrom;
  if (item.style) shown[item.style === "start" ? "crash" : item.style] = true;
  syncLegend();
  choose(item);
  reveal(item);
}

// --- The page ----------------------------------------------------------------

const LEGEND = [["crash", "ends, starts"], ["fault", "fault"],
  ["ack", "acknowledged"], ["cut", "cut off"], ["packets", "packets"],
  ["note", "other"]];

function drawLegendSymbol(canvas, kind) {
  const pen = fit(canvas, 16, 16);
  if (kind === "cut") {
    pen.fillStyle = colors.cut;
    pen.fillRect(1, 6, 14, 4);
  } else if (kind === "packets") {
    pen.strokeStyle = colors.packet;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(2, 2);
    pen.lineTo(14, 14);
    pen.stroke();
  } else {
    SYMBOLS[kind](pen, 8, 8);
  }
}

function syncLegend() {
  for (const box of $("legend").querySelectorAll("input")) {
    box.checked = shown[box.value];
  }
}

function buildLegend() {
  for (const [kind, text] of LEGEND) {
    const label = element("label");
    const box = element("input");
    box.type = "checkbox";
    box.value = kind;
    box.addEventListener("change", () => {
      shown[kind] = box.checked;
      redraw();
    });
    const symbol = element("canvas");
    drawLegendSymbol(symbol, kind);
    label.append(box, symbol, element("span", text));
    $("legend").append(label);
  }
  syncLegend();
}

function buildLabels() {
  for (const lane of lanes) {
    const label = element("div", lane.name, "lane");
    label.dataset.name = lane.name;
    if (lane.main < MAIN) label.classList.add("small");
    label.title = lane.name;
    label.style.top = lane.top + AXIS + "px";
    label.style.height = lane.height + "px";
    $("labels").append(label);
  }
  $("labels").style.height = $("inner").style.height = total + AXIS + "px";
}

function buildStoryList() {
  const items = story.slice(-STORY_LIMIT).map(
    ({item, class: kind, words}) => rowFor(item, kind, words));
  if (run.failed) {
    items.push(element("li", `${timeText(END, 4)}  ${run.verdict}`, "fail"));
  }
  $("story").replaceChildren(...items);
  $("story-count").textContent = story.length > STORY_LIMIT ?
    `the last ${STORY_LIMIT} of ${story.length}` : `${story.length}`;
}

function buildHeader() {
  $("title").textContent = run.title;
  $("verdict").textContent = run.verdict;
  $("verdict").classList.add(run.failed ? "failed" : "passed");
  const facts = [`seed ${run.seed}`, `${timeText(run.end, 3)} simulated`,
    `${run.events.toLocaleString("en")} events`];
  if (run.dropped) facts.push(`${run.dropped} early ones are not shown`);
  $("facts").textContent = facts.join("  ·  ");
  $("cause").hidden = !run.failed;
  $("cause").textContent = run.cause;
  $("replay").textContent = run.replay;
  $("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(run.replay);
    $("copy").textContent = "Copied";
  });
}

function restyle() {
  readColors();
  for (const label of $("legend").querySelectorAll("label")) {
    drawLegendSymbol(label.querySelector("canvas"),
      label.querySelector("input").value);
  }
  redraw();
}

function start() {
  readColors();
  buildHeader();
  buildLegend();
  buildLabels();
  buildStoryList();
  emptyDetails();
  for (const button of document.querySelectorAll("[data-do]")) {
    button.addEventListener("click", ACTIONS[button.dataset.do]);
  }
  stage.addEventListener("wheel", onWheel, {passive: false});
  stage.addEventListener("pointerdown", onDown);
  stage.addEventListener("pointermove", onMove);
  stage.addEventListener("pointerup", onUp);
  stage.addEventListener("pointerleave", () => { $("tip").hidden = true; });
  stage.addEventListener("keydown", onKey);
  overview.addEventListener("pointerdown", onOverview);
  overview.addEventListener("pointermove", onOverview);
  $("search").addEventListener("input", onSearch);
  $("search").addEventListener("keydown", onSearch);
  scroller.addEventListener("scroll", redraw);
  new ResizeObserver(redraw).observe(scroller);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
    restyle);
  ACTIONS.fit();
}

start();
