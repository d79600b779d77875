// Line charts of the last two minutes.

const SECONDS = 120;
const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [480, 150, 48, 10, 20];

/** Draws into `svg`. `lines` maps a CSS class to points, each [milliseconds, value or null]. */
export function plot(svg, lines, unit, label) {
  const all = Object.values(lines).flat();
  const now = Math.max(0, ...all.map(([at]) => at));
  const top = roundUp(Math.max(0, ...all.map(([, value]) => value ?? 0)));
  const x = (at) => WIDTH - ((now - at) / (SECONDS * 1000)) * (WIDTH - LEFT);
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  const shapes = [];
  for (const value of [0, top / 2, top]) {
    shapes.push(shape("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }));
    shapes.push(text(LEFT - 6, y(value) + 4, "end", unit(value)));
  }
  shapes.push(text(LEFT, HEIGHT - 5, "start", "2 min ago"), text(WIDTH, HEIGHT - 5, "end", "now"));
  for (const [name, points] of Object.entries(lines)) {
    let path = "";
    let pen = "M";
    for (const [at, value] of points) {
      if (value !== null && x(at) >= LEFT) path += `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = value === null ? "M" : "L";
      // A point without neighbors becomes a dot.
      if (value !== null && path.endsWith(y(value).toFixed(1))) path += "h.5";
    }
    shapes.push(shape("path", { class: `series ${name}`, d: path || "M0 0" }));
  }
  svg.replaceChildren(...shapes);
  svg.setAttribute("aria-label", label);
}

/** Rounds up to 1, 2 or 5 times a power of ten. */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}

function text(x, y, anchor, content) {
  const element = shape("text", { x, y, "text-anchor": anchor });
  element.textContent = content;
  return element;
}

function shape(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
