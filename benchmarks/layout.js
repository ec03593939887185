// The faults of a page's layout as a reader would see them: an array of words, empty for a page in order.
function faults(view) {
  const page = view.document, found = [];
  page.querySelectorAll("details").forEach(it => { it.open = true; });
  const width = page.documentElement.clientWidth;
  if (page.documentElement.scrollWidth > width) found.push(`the page is ${page.documentElement.scrollWidth} px wide`);
  for (const box of page.body.querySelectorAll("*")) {
    if (box.scrollWidth > box.clientWidth + 1 && view.getComputedStyle(box).overflowX !== "visible")
      found.push(`<${box.localName}> holds ${box.scrollWidth} px in ${box.clientWidth}: ${words(box.textContent)}`);
  }
  const texts = [...inHTML(page), ...inDrawings(page)].sort((a, b) => a.box.top - b.box.top);
  for (const {box, text, frame} of texts) {
    if (box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2)
      found.push(`runs out of its place: ${text}`);
  }
  texts.forEach((a, k) => {
    for (let n = k + 1; n < texts.length && texts[n].box.top < a.box.bottom - 2; n++) {
      const b = texts[n];
      const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
      const high = Math.min(a.box.bottom, b.box.bottom) - b.box.top;
      if (a.of !== b.of && wide > 2 && high > 2) found.push(`overlap: ${a.text} | ${b.text}`);
    }
  });
  return found;

  function words(text) { return text.trim().replace(/\s+/g, " ").slice(0, 60); }

  // Each line of each run of letters in the page, outside its drawings.
  function* inHTML(page) {
    const walk = page.createTreeWalker(page.body, view.NodeFilter.SHOW_TEXT), range = page.createRange();
    const frame = {left: 0, right: width, top: -1e9, bottom: 1e9};
    while (walk.nextNode()) {
      const node = walk.currentNode;
      if (!node.data.trim() || node.parentElement.closest("svg, script, style")) continue;
      const pane = node.parentElement.closest("pre");  // its lines beyond the lower edge are scrolled to
      range.selectNodeContents(node);
      for (const box of range.getClientRects())
        if (box.width && (!pane || box.bottom <= pane.getBoundingClientRect().bottom)) yield {box, text: words(node.data), of: node, frame};
    }
  }

  function* inDrawings(page) {
    for (const drawing of page.querySelectorAll("svg")) {
      const frame = drawing.getBoundingClientRect();
      for (const text of drawing.querySelectorAll("text")) {
        const box = text.getBoundingClientRect();
        if (box.width) yield {box, text: words(text.textContent), of: text, frame};
      }
    }
  }
}
