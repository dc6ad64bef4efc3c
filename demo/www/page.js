// What the three pages have in common.

export const $ = (id) => document.getElementById(id);

/** Text is always set as text: much of it comes from others. */
export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Sets a text only when it is another, so that screen readers aren't told the same again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The pill in the corner; `state` is idle, open or waiting. */
export function showStatus(state, text) {
  $('status').dataset.state = state;
  setText($('status'), text);
}

/** Lets the links between the pages lead to this node: the one that this page came from may be gone. */
export function leadTo(node) {
  for (const link of document.querySelectorAll('.pages a')) link.href = new URL(new URL(link.href).pathname, node);
}

export function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Calls `draw` whenever the page is about to be painted and is looked at; returns a function that ends it. */
export function animate(draw) {
  let frame = 0;
  const step = (time) => {
    draw(time);
    frame = requestAnimationFrame(step);
  };
  frame = requestAnimationFrame(step);
  return () => cancelAnimationFrame(frame);
}

/** The colours of the style sheet, for canvases; they change with dark and light. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Makes a canvas as fine as the screen; returns its context, and its size in CSS pixels. */
export function prepare(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
