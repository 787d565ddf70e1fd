// What every page of the authority has to be, whatever it shows. Runs inside the page by DevTools, which no
// Content-Security-Policy of the page stands against.

// The faults of the page that is open, in sentences.
export async function lookOver(page) {
  return page.evaluate(() => {
    const faults = [];
    const root = document.documentElement;
    if (root.lang !== 'en') faults.push('the page has no language');
    if (document.querySelectorAll('h1').length !== 1) faults.push('the page has not exactly one h1');
    if (!document.querySelector('main')) faults.push('the page has no main');
    if (!document.title.trim()) faults.push('the page has no title');
    if (root.scrollWidth > innerWidth) faults.push(`the page is ${root.scrollWidth} wide in a window of ${innerWidth}`);
    if (document.querySelector('[style]')) faults.push('an element has a style attribute');

    const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
    if (new Set(ids).size !== ids.length) faults.push('an id comes twice');
    for (const field of document.querySelectorAll('input:not([type=hidden]), select')) {
      if (!field.labels?.length) faults.push(`the field ${field.name} has no label`);
    }
    for (const control of document.querySelectorAll('button, a, summary')) {
      if (!control.textContent.trim()) faults.push(`a ${control.tagName} has no name`);
    }
    const levels = [...document.querySelectorAll('h1, h2, h3, h4')].map((heading) => Number(heading.tagName[1]));
    levels.forEach((level, at) => {
      if (at > 0 && level > levels[at - 1] + 1) faults.push(`a heading of level ${level} comes after ${levels[at - 1]}`);
    });

    // WCAG 2.2, success criterion 1.4.3.
    const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
    const parse = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
    const background = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const color = parse(getComputedStyle(at).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color;
      }
      return parse(getComputedStyle(document.body).backgroundColor);
    };
    const seen = new Set();
    for (const element of document.querySelectorAll('body *')) {
      const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
      if (!own || !element.checkVisibility() || element.closest('noscript')) continue;
      const style = getComputedStyle(element);
      const [a, b] = [luminance(parse(style.color)), luminance(background(element))];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const large = parseFloat(style.fontSize) >= 24;
      if (contrast < (large ? 3 : 4.5)) {
        seen.add(`contrast ${contrast.toFixed(2)} of ${element.tagName}.${element.className}: ${element.textContent.trim().slice(0, 40)}`);
      }
    }
    return [...faults, ...seen];
  });
}
