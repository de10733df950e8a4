/** Looks over one screen of the page the way a careful reviewer would: width, names, targets, contrast. */
import type { Page } from "playwright-core";

/** What is wrong on the screen as it is now, one sentence each. Terminal cells are xterm's own matter (it keeps 4.5:1 by itself). */
export function checkPage(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const MIN_TARGET = 44;
    const MIN_CONTRAST = 4.5;
    const problems: string[] = [];
    const root = document.scrollingElement ?? document.documentElement;
    if (root.scrollWidth > innerWidth) problems.push(`scrolls sideways: ${root.scrollWidth} px in ${innerWidth}`);
    const open = document.querySelector("dialog[open]");
    const all = [...(open ?? document).querySelectorAll<HTMLElement>("*")].filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width > 1 && box.height > 1 && getComputedStyle(element).visibility === "visible" && !element.closest(".xterm");
    });
    const called = (element: HTMLElement) =>
      `${element.tagName.toLowerCase()}.${element.className} ${JSON.stringify((element.textContent ?? "").trim().slice(0, 40))}`;

    for (const element of all.filter((one) => one.matches("button, a[href], input, select, textarea, summary"))) {
      const box = element.getBoundingClientRect();
      const around = element.closest("label")?.getBoundingClientRect() ?? box;
      const [width, height] = [Math.max(box.width, around.width), Math.max(box.height, around.height)];
      // Half a pixel is rounding.
      if (width < MIN_TARGET - 0.5 || height < MIN_TARGET - 0.5)
        problems.push(`${called(element)} is ${Math.round(width)} by ${Math.round(height)} px`);
      const labels =
        "labels" in element ? [...((element as HTMLInputElement).labels ?? [])].map((label) => label.textContent).join("") : "";
      const name = element.getAttribute("aria-label") ?? (labels || element.textContent || "");
      if (!name.trim()) problems.push(`${called(element)} has no name`);
    }

    type Colour = [number, number, number, number];
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const read = (css: string): Colour => {
      if (!canvas) return [0, 0, 0, 1];
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = css;
      canvas.fillRect(0, 0, 1, 1);
      const [r = 0, g = 0, b = 0, a = 0] = canvas.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
    const over = (top: Colour, below: Colour): Colour => {
      const mix = (at: 0 | 1 | 2) => top[at] * top[3] + below[at] * (1 - top[3]);
      return [mix(0), mix(1), mix(2), 1];
    };
    const light = ([r, g, b]: Colour) => {
      const [x = 0, y = 0, z = 0] = [r, g, b].map((part) =>
        part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const backgroundOf = (element: HTMLElement): Colour => {
      const layers: Colour[] = [];
      for (let at: HTMLElement | null = element; at; at = at.parentElement) {
        const colour = read(getComputedStyle(at).backgroundColor);
        layers.push(colour);
        if (colour[3] === 1) break;
      }
      return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1] as Colour);
    };
    for (const element of all) {
      const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && (node.textContent ?? "").trim() !== "");
      // Controls that cannot be used are exempt, as in WCAG 1.4.3.
      if (!own || element.closest(":disabled, option")) continue;
      const below = backgroundOf(element);
      const [one, two] = [light(over(read(getComputedStyle(element).color), below)), light(below)];
      const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
      if (contrast < MIN_CONTRAST) problems.push(`${called(element)} has contrast ${contrast.toFixed(2)}`);
    }
    return problems;
  });
}
