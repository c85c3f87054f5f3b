"use strict";
// Three small charts as SVG. They are stretched to their box, so no text stands inside; labels are the page's.

const WIDTH = 300;
const HEIGHT = 100;

function shape(name, attributes, hint) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (hint) {
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = hint;
    node.append(title);
  }
  return node;
}

// Runs of [x, y] without the gaps, where y is null.
function runs(points) {
  const found = [];
  let run = [];
  for (const point of [...points, [0, null]]) {
    if (point[1] !== null) run.push(point);
    else if (run.length) {
      found.push(run);
      run = [];
    }
  }
  return found;
}

function line(points, attributes) {
  return shape("polyline", { points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "), ...attributes });
}

// Draws [time, value] of the last minutes; returns the highest value.
function sparkline(svg, points, now) {
  const highest = Math.max(0, ...points.map(([, value]) => value ?? 0));
  const x = (time) => WIDTH * (1 - (now - time) / KEEP_SECONDS);
  const y = (value) => HEIGHT - 3 - (highest ? ((HEIGHT - 8) * value) / highest : 0);
  const drawn = runs(points.map(([time, value]) => [x(time), value === null ? null : y(value)]));
  svg.replaceChildren(
    line([[0, HEIGHT - 1], [WIDTH, HEIGHT - 1]], { class: "base" }),
    ...drawn.flatMap((run) => [
      line([[run[0][0], HEIGHT], ...run, [run.at(-1)[0], HEIGHT]], { class: "area" }),
      line(run, { class: "line" }),
    ]),
  );
  return highest;
}

// What was booked in each part of the window, left of the middle; what comes free in each coming part, right of it.
function quotaBars(svg, quota) {
  const parts = [...quota.history.map((value) => ["used", value]), ...quota.releases.map((value) => ["freed", value])];
  const highest = Math.max(1, ...parts.map(([, value]) => value));
  const step = (2 * WIDTH) / parts.length;
  const seconds = quota.window_seconds / quota.history.length;
  const bars = parts.map(([kind, value], index) => {
    const height = value ? Math.max(1.5, ((HEIGHT - 4) * value) / highest) : 0;
    const away = (index - quota.history.length) * seconds;
    const hint = kind === "used"
      ? `${count(value)} used, ${span(-away)} ago`
      : `${count(value)} come free, in ${span(away + seconds)}`;
    return shape("rect", { class: kind, x: index * step + step * 0.1, y: HEIGHT - 1 - height, width: step * 0.8, height }, hint);
  });
  const middle = quota.history.length * step;
  svg.replaceChildren(
    line([[0, HEIGHT - 1], [2 * WIDTH, HEIGHT - 1]], { class: "base" }),
    ...bars,
    line([[middle, 0], [middle, HEIGHT]], { class: "now" }),
  );
  return highest;
}

// How full the window will be: if nothing more were sent (certain), and at the current rate and the pace (a forecast).
function quotaForecastLines(svg, quota) {
  const y = (used) => HEIGHT - 2 - ((HEIGHT - 14) * Math.min(used, quota.limit)) / quota.limit;
  const step = WIDTH / quota.releases.length;
  let left = quota.used;
  const idle = [[0, y(left)], ...quota.releases.map((freed, index) => [(index + 1) * step, y((left -= freed))])];
  const drawn = [
    line([[0, HEIGHT - 1], [WIDTH, HEIGHT - 1]], { class: "base" }),
    line([[0, y(quota.limit)], [WIDTH, y(quota.limit)]], { class: "limit" }),
    line([[0, HEIGHT - 1], ...idle, [WIDTH, HEIGHT - 1]], { class: "area" }),
    line(idle, { class: "line" }),
  ];
  if (quota.rate_per_second && quota.used < quota.limit) {
    const present = [quota.used, ...quota.used_forecast].map((used, index) => [index * step, y(used)]);
    drawn.push(line(present, { class: "present" }));
    if (quota.used_up_seconds !== null && quota.used_up_seconds < quota.window_seconds) {
      const reached = (WIDTH * quota.used_up_seconds) / quota.window_seconds;
      drawn.push(line([[reached, y(quota.limit)], [reached, HEIGHT]], { class: "mark" }));
    }
  }
  svg.replaceChildren(...drawn);
}
