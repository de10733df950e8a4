import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { cleanOutput, extractLinks } from "../src/index.ts";

const ESC = "\x1b";
const OSC8 = (url: string, label: string) => `${ESC}]8;;${url}${ESC}\\${label}${ESC}]8;;${ESC}\\`;
const bytes = (text: string) => Buffer.from(text);

const CLEAN: [what: string, raw: string, clean: string][] = [
  ["colours and modes go", `${ESC}[1;38;5;12mHello${ESC}[0m ${ESC}[?25lworld${ESC}[?2004h`, "Hello world"],
  ["titles, device strings and charsets go", `${ESC}]0;title\x07a${ESC}Pq#0;1${ESC}\\b${ESC}(Bc${ESC}=d${ESC}]2;x${ESC}\\`, "abcd"],
  ["a sequence cut at the end goes", `text${ESC}[38;5`, "text"],
  ["a title cut at the end goes", `text${ESC}]0;never ends`, "text"],
  ["a character cut at the start goes", "\ufffdext", "ext"],
  ["CRLF and CR become LF", "a\r\nb\rc\nd", "a\nb\nc\nd"],
  ["no-break spaces become spaces", "a\u00a0b\u202fc", "a b c"],
  ["cursor right is spaces, other rows are lines", `a${ESC}[3Cb${ESC}[2;1Hc`, "a   b\nc"],
  ["separators go", "one\n────────\n-----\n=====\n* * *\ntwo", "one\ntwo"],
  ["frames go, what is in them stays", "╭──────╮\n│ hello │\n╰──────╯", "hello"],
  ["columns of a table stay", "│ a │ b │", "a │ b"],
  ["empty prompts go, typed ones stay", "> \n❯\n> fix it", "> fix it"],
  ["spinners go", "✻ Thinking… (12s · ↑ 1.2k tokens · esc to interrupt)\n⠋ Installing\n✢ Pondering...\n|\ndone", "done"],
  ["torn pieces of a spinner's word go", "✻ Thinking…\nTh\nink\nOK", "OK"],
  ["short real words stay", "OK\nyes\nno\n42\na", "OK\nyes\nno\n42\na"],
  ["the same short word without a spinner nearby stays", "ink\nTh", "ink\nTh"],
  [
    "status bars go",
    "  ? for shortcuts\n⏵⏵ bypass permissions on (shift+tab to cycle)\nPress Ctrl-C again to exit\n98% context left · ? for shortcuts\nreal",
    "real",
  ],
  ["a sentence about a key stays", "Press ctrl+c to interrupt the server.", "Press ctrl+c to interrupt the server."],
  [
    "timing lines go, durations that say something stay",
    "✻ Baked for 1m 12s\n(3s · 120 tokens · esc to interrupt)\nBuild took 12s\n12s",
    "Build took 12s\n12s",
  ],
  ["bullets stay", "* item…\n- and so on...\n• three\n⏺ Bash(ls)", "- and so on...\n• three\n⏺ Bash(ls)"],
  ["a progress line painted over keeps its last state", "Down\rDownload\rDownload done\n", "Download done"],
  ["a repaint of the same lines shows once", `one\r\ntwo\r\n${ESC}[2Aone\r\ntwo\r\nthree`, "one\ntwo\nthree"],
  ["equal lines that were printed twice stay", "same\nsame\n", "same\nsame"],
  ["blank lines shrink to one", "a\n\n\n\nb\n\n", "a\n\nb"],
  ["nothing gives nothing", "", ""],
];
for (const [what, raw, clean] of CLEAN) test(`SESSION-38: ${what}`, () => assert.equal(cleanOutput(bytes(raw)), clean));

test("SESSION-38: any bytes are survived, and no control character is left", () => {
  const all = Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7919 + (index >> 4)) % 256));
  for (let from = 0; from < 300; from++) assert.doesNotMatch(cleanOutput(all.subarray(from)), /[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
});

const long = `https://example.com/${"segment/".repeat(12)}end?x=1`;
const wrapped = (url: string, width: number, lead = "") =>
  (url.match(new RegExp(`.{1,${width - lead.length}}`, "g")) ?? []).map((piece) => lead + piece).join("\r\n");

const LINKS: [what: string, raw: string, links: [label: string, url: string][], cols?: number][] = [
  [
    "bare addresses lose the punctuation around them",
    "See https://a.example/x, (https://b.example/y). <https://c.example/z>! 'https://d.example'",
    [
      ["", "https://a.example/x"],
      ["", "https://b.example/y"],
      ["", "https://c.example/z"],
      ["", "https://d.example"],
    ],
  ],
  [
    "brackets that belong to the address stay",
    "https://en.example/wiki/A_(b) [https://e.example/[x]]",
    [
      ["", "https://en.example/wiki/A_(b)"],
      ["", "https://e.example/[x]"],
    ],
  ],
  [
    "markdown links have labels",
    '[the docs](https://a.example/docs) and [pull 3](https://b.example/p/3 "t").',
    [
      ["the docs", "https://a.example/docs"],
      ["pull 3", "https://b.example/p/3"],
    ],
  ],
  ["OSC 8 links have labels", `open ${OSC8("https://a.example/1", "PR #1")} now`, [["PR #1", "https://a.example/1"]]],
  ["OSC 8 ended by BEL and with an id", `${ESC}]8;id=7;https://a.example/1\x07one${ESC}]8;;\x07`, [["one", "https://a.example/1"]]],
  [
    "each address appears once, with the better label",
    "https://a.example/x https://a.example/x [x](https://a.example/x)",
    [["x", "https://a.example/x"]],
  ],
  [
    "only web addresses are taken",
    `${OSC8("file:///etc/passwd", "f")} ftp://x.example javascript:alert(1) [a](javascript:b) http:// https://`,
    [],
  ],
  ["colours inside an address do not cut it", `https://a.example/${ESC}[31mred${ESC}[0m/end`, [["", "https://a.example/red/end"]]],
  ["an address over three hard-wrapped lines is one", `first\r\n${wrapped(long, 50)}\r\nlast`, [["", long]]],
  ["an indented one too", `first\r\n${wrapped(long, 80, "  ")}\r\nlast line`, [["", long]]],
  ["one in a frame too", (long.match(/.{1,60}/g) ?? []).map((piece) => `│ ${piece.padEnd(60)} │`).join("\r\n"), [["", long]]],
  ["with the width known, narrow ones too", wrapped(long, 60), [["", long]], 60],
  [
    "a markdown link over two lines",
    `${"x".repeat(40)} [docs](https://a.example/some/very/long/pat\r\nh/to/the/page.html) done`,
    [["docs", "https://a.example/some/very/long/path/to/the/page.html"]],
  ],
  [
    "an OSC 8 link whose label is its wrapped address",
    `${OSC8(long, long.slice(0, 70))}\r\n${OSC8(long, long.slice(70))}`,
    [[long.slice(0, 70), long]],
  ],
  [
    "what follows on a line of its own stays apart",
    "https://github.com/organisation/repository/pull/123\r\nDone\r\n",
    [["", "https://github.com/organisation/repository/pull/123"]],
  ],
  [
    "two addresses on two lines stay two",
    `https://a.example/${"x".repeat(62)}\r\nhttps://b.example/y`,
    [
      ["", `https://a.example/${"x".repeat(62)}`],
      ["", "https://b.example/y"],
    ],
  ],
  ["a short line is not joined", `${"w".repeat(80)}\r\nsee https://a.example/x\r\nfoo/bar`, [["", "https://a.example/x"]]],
];
for (const [what, raw, links, cols] of LINKS)
  test(`SESSION-37: ${what}`, () =>
    assert.deepEqual(
      extractLinks(bytes(raw), { cols }).map(({ label, url }) => [label, url]),
      links.map(([label, url]) => [label || url, url]),
    ));

test("SESSION-37: megabytes of brackets and half addresses take no more than their share", () => {
  const nasty = `${"[".repeat(20_000)}https://${"(".repeat(20_000)}\n${"https://a.example/(((".repeat(5_000)}\n${"|".repeat(50_000)}`;
  assert.ok(Array.isArray(extractLinks(bytes(nasty))));
  assert.equal(typeof cleanOutput(bytes(nasty)), "string");
});

for (const harness of ["claude", "codex", "pi"]) {
  test(`SESSION-38: a recorded turn of ${harness} reads as a person would copy it from the screen`, () => {
    const file = (kind: string) => readFileSync(new URL(`recordings/${harness}.${kind}`, import.meta.url));
    assert.equal(`${cleanOutput(file("raw"))}\n`, file("txt").toString());
  });
}

const PAINTED: [what: string, raw: string, clean: string][] = [
  ["pieces painted beside each other are one line", `${ESC}[5;1HI${ESC}[5;3Hwill${ESC}[5;8Hcreate`, "I will create"],
  ["what was painted over is gone", `ab${ESC}[2Dcd\r\n${ESC}[1A${ESC}[2Kef`, "ef"],
  [
    "lines that scroll out of a region stay",
    `${ESC}[1;3r${ESC}[3;1Hone\r\ntwo\r\nthree\r\nfour${ESC}[r${ESC}[4;1Hfoot`,
    "one\ntwo\nthree\nfour\nfoot",
  ],
  [
    "a screen wiped at the end stays",
    `${ESC}[?1049h${ESC}[1;1Hfirst${ESC}[2;1Hsecond${ESC}[1;1H${ESC}[J${ESC}[?1049lbye`,
    "first\nsecond\nbye",
  ],
  [
    "a screen wiped to be painted again shows once",
    `${ESC}[1;1Hfirst${ESC}[2;1Hsecond${ESC}[2J${ESC}[1;1Hfirst${ESC}[2;1Hsecond${ESC}[3;1Hthird`,
    "first\nsecond\nthird",
  ],
  ["wide characters take two columns", `${ESC}[1;1H修复${ESC}[1;6Hx${ESC}[2;1Hé`, "修复 x\né"],
  [
    "deleted and inserted characters and lines",
    `${ESC}[1;1Habcd${ESC}[1;2H${ESC}[2P${ESC}[1@${ESC}[2;1Hx${ESC}[1;1H${ESC}[L${ESC}[1;1Htop`,
    "top\na d\nx",
  ],
];
for (const [what, raw, clean] of PAINTED) test(`SESSION-38: ${what}`, () => assert.equal(cleanOutput(bytes(raw)), clean));

test("SESSION-37: an address painted in pieces is one, and what was painted over is not found", () => {
  const raw = `${ESC}[1;1Hhttps://half.example/x${ESC}[1;1H${ESC}[Khttps://a.example/${ESC}[3;1Hother${ESC}[1;19Hpage ${OSC8("https://b.example", "b")}`;
  assert.deepEqual(extractLinks(bytes(raw)), [
    { label: "b", url: "https://b.example" },
    { label: "https://a.example/page", url: "https://a.example/page" },
  ]);
});
