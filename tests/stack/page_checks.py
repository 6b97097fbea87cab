"""What holds of every page in a browser: expressions of JavaScript that return what does not."""

NARROW = """
(() => {
  const pen = document.createElement("canvas").getContext("2d");
  const found = [];
  const cells = "td, th, li, dt, dd, p, pre, summary, h1, h2, h3, a, figcaption, button, label";
  for (const e of document.querySelectorAll(cells)) {
    const box = e.getBoundingClientRect();
    const walker = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
    let text = "";
    while (walker.nextNode()) if (!walker.currentNode.parentElement.closest(".hidden")) text += walker.currentNode.data;
    text = text.trim().replace(/\\s+/g, " ");
    if (!text || e.closest(".hidden, svg, thead") || !box.width || getComputedStyle(e).display === "inline") continue;
    const style = getComputedStyle(e);
    pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const inner = box.width - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const least = Math.min(pen.measureText(text).width, 8 * pen.measureText("0").width);
    if (inner * 1.05 + 1 < least) found.push(`${e.tagName}.${e.className} ${inner} < ${least}: ${text.slice(0, 40)}`);
  }
  return found;
})()
"""
"""Elements narrower than their text on one line and than eight digits."""

OUTSIDE = """
(() => {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push(`page ${document.documentElement.scrollWidth}`);
  for (const e of document.querySelectorAll("body *")) {
    const box = e.getBoundingClientRect();
    if (!box.width || e.closest(".hidden") || e.parentElement.closest(".scroll, svg")) continue;
    if (box.right > innerWidth + 1 || box.left < -1) found.push(`${e.tagName}.${e.className} ${box.left} ${box.right}`);
    // Text that pokes out of its box lies on its neighbour's.
    if (!e.matches(".scroll, svg, .skip") && e.clientWidth && e.scrollWidth > e.clientWidth + 1)
      found.push(`${e.tagName}.${e.className} holds ${e.scrollWidth} in ${e.clientWidth}`);
  }
  return found;
})()
"""
"""Elements that stick out of the page or of their own box, unless that scrolls."""

FAINT = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const part = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const found = rgb(getComputedStyle(e).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  const faint = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest("svg")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${e.className || e.tagName}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(faint)];
})()
"""
"""Text without the contrast that WCAG 2 asks of small text (AA)."""
