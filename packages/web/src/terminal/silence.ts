/** Stops this page's terminal from answering questions of the agent: the server's terminal answers them once, and every viewer answering too would type garbage. */

/** The part of xterm's parser this needs; the headless build has the same, which is how it is tested. */
export interface QueryParser {
  registerCsiHandler(
    id: { prefix?: string; intermediates?: string; final: string },
    handler: (params: (number | number[])[]) => boolean,
  ): unknown;
  registerOscHandler(id: number, handler: (data: string) => boolean): unknown;
  registerDcsHandler(id: { prefix?: string; intermediates?: string; final: string }, handler: (data: string) => boolean): unknown;
}

/** Sequences that ask the terminal for something and do nothing else. */
const CSI_QUERIES = [
  { final: "c" }, // DA1: what are you
  { prefix: ">", final: "c" }, // DA2
  { prefix: "=", final: "c" }, // DA3
  { final: "n" }, // DSR, CPR: where is the cursor
  { prefix: "?", final: "n" }, // DECXCPR and friends, colour scheme
  { intermediates: "$", final: "p" }, // DECRQM, ANSI modes
  { prefix: "?", intermediates: "$", final: "p" }, // DECRQM, private modes
  { prefix: ">", final: "q" }, // XTVERSION
  { prefix: "?", final: "u" }, // kitty keyboard flags
  { final: "x" }, // DECREQTPARM
] as const;

/** Window reports of XTWINOPS; the other numbers change the window and are left alone. */
const WINDOW_REPORTS = new Set([11, 13, 14, 15, 16, 18, 19, 20, 21]);

/** Colours (palette, foreground, background, cursor, highlight) and clipboard: a `?` instead of a value asks. */
const OSC_QUERIES = [4, 5, 10, 11, 12, 17, 19, 52] as const;

/** Handlers registered last are asked first, and `true` ends the matter. */
export function silenceQueries(parser: QueryParser): void {
  for (const id of CSI_QUERIES) parser.registerCsiHandler(id, () => true);
  parser.registerCsiHandler({ final: "t" }, (params) => WINDOW_REPORTS.has(Number(params[0])));
  for (const id of OSC_QUERIES) parser.registerOscHandler(id, (data) => isColourQuery(data) || id === 52);
  for (const id of [
    { intermediates: "$", final: "q" },
    { intermediates: "+", final: "q" },
  ])
    parser.registerDcsHandler(id, () => true); // DECRQSS, XTGETTCAP
}

/** `?` stands where a value would: `?`, `1;?`, `?;?`. */
export function isColourQuery(data: string): boolean {
  return data.split(";").includes("?");
}
