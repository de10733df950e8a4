/** A real Chromium on a real Argus, for the browser proofs and the pictures of the documentation. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

/** Drawn without WebGL, so that what a terminal shows is text of the page; quiet, so that no request leaves this machine. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-3d-apis",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export const SIZES = {
  phone: { width: 390, height: 844 },
  small: { width: 360, height: 740 },
  desk: { width: 1440, height: 900 },
} as const;

export interface Look {
  size?: keyof typeof SIZES;
  scheme?: "dark" | "light";
}

export async function startBrowser(): Promise<Browser> {
  const executablePath = [process.env.ARGUS_TEST_CHROMIUM ?? "", ...PLACES].find((place) => place && fs.existsSync(place));
  assert.ok(executablePath, "No Chromium found. Install it (apt-get install chromium) or name it in ARGUS_TEST_CHROMIUM.");
  return chromium.launch({ executablePath, args: FLAGS });
}

/** One device: its own storage, its size, and everything that went wrong on its pages. */
export class Device implements AsyncDisposable {
  readonly page: Page;
  /** Console errors, page errors and requests to other hosts, in words. */
  readonly wrong: string[] = [];
  readonly #context: BrowserContext;

  private constructor(context: BrowserContext, page: Page) {
    this.#context = context;
    this.page = page;
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.wrong.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.wrong.push(`page: ${error.message}`));
  }

  static async open(browser: Browser, { size = "desk", scheme = "dark" }: Look = {}): Promise<Device> {
    const phone = size !== "desk";
    const context = await browser.newContext({
      viewport: SIZES[size],
      colorScheme: scheme,
      reducedMotion: "reduce",
      ...(phone && { isMobile: true, hasTouch: true, deviceScaleFactor: 2 }),
    });
    context.setDefaultTimeout(15_000);
    return new Device(context, await context.newPage());
  }

  /** Hosts that were asked for anything. */
  watchHosts(): Set<string> {
    const hosts = new Set<string>();
    this.page.on("request", (request) => {
      if (/^(https?|wss?):/.test(request.url())) hosts.add(new URL(request.url()).host);
    });
    return hosts;
  }

  async login(link: string): Promise<void> {
    await this.page.goto(link);
    await this.page.getByRole("navigation", { name: "Main" }).waitFor();
  }

  /** What the terminal shows, row by row, trailing blanks cut. */
  async screen(): Promise<string[]> {
    const rows = await this.page.locator(".xterm-rows > div").allInnerTexts();
    return rows.map((row) => row.replaceAll("\u00a0", " ").trimEnd());
  }

  /** Resolves when the terminal shows the text. */
  async shows(text: string | RegExp): Promise<void> {
    const deadline = Date.now() + 20_000;
    for (;;) {
      const screen = (await this.screen()).join("\n");
      if (typeof text === "string" ? screen.includes(text) : text.test(screen)) return;
      if (Date.now() > deadline) assert.fail(`The terminal never showed ${text}. It shows:\n${screen}`);
      await this.page.waitForTimeout(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close();
  }
}
