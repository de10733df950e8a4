/** A redraw must be exact, or an attached viewer paints the rest of the session onto the wrong screen. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { GroundScanner } from "../src/ground.ts";
import { followColors, inside } from "../src/inside.ts";
import { redraw } from "../src/redraw.ts";
import { describeTerminal, dice, feed, livelyOutput, newTerminal } from "./screens.ts";

test("SUPERVISOR-21: the scanner and the terminal agree, byte by byte, on where a sequence ends", () => {
  const roll = dice(7);
  for (let round = 0; round < 40; round++) {
    const recording = round % 2 ? livelyOutput(round, 200) : Buffer.from(Array.from({ length: 2000 }, () => Math.floor(roll() * 256)));
    const terminal = newTerminal(80, 24, 10);
    const scanner = new GroundScanner(terminal);
    for (let i = 0; i < recording.length; i++) {
      const byte = recording.subarray(i, i + 1);
      scanner.scan(byte);
      feed(terminal, byte);
      assert.equal(scanner.state, inside(terminal)._inputHandler._parser.currentState, `round ${round}, byte ${i}`);
    }
  }
});

test("SESSION-27: at 200 random moments, mid-sequence and mid-character too, redraw plus the rest equals the reference", () => {
  let checked = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const recording = livelyOutput(seed, 600);
    const roll = dice(seed + 1000);
    for (let moment = 0; moment < 5; moment++) {
      const cut = Math.floor(roll() * recording.length);
      const cols = 40 + Math.floor(roll() * 60);
      const rows = 5 + Math.floor(roll() * 25);
      const reference = newTerminal(cols, rows);
      const colors = followColors(reference);
      const scanner = new GroundScanner(reference);
      const at = Math.max(0, scanner.scan(recording.subarray(0, cut)));
      feed(reference, recording.subarray(0, at));

      const viewer = newTerminal(cols, rows);
      feed(viewer, redraw(reference, 3000, colors));
      assert.deepEqual(describeTerminal(viewer), describeTerminal(reference), `seed ${seed}, offset ${at}, before the rest`);
      const rest = recording.subarray(at);
      feed(viewer, rest);
      feed(reference, rest);
      assert.deepEqual(
        describeTerminal(viewer, 3000, false),
        describeTerminal(reference, 3000, false),
        `seed ${seed}, offset ${at}, after the rest`,
      );
      checked++;
    }
  }
  assert.equal(checked, 200);
});

test("SESSION-27: colours changed by the program and the first 500 lines above the screen are redrawn", () => {
  const reference = newTerminal(80, 24);
  const colors = followColors(reference);
  feed(reference, "\x1b]4;1;#102030\x07\x1b]11;#000001\x07");
  for (let i = 0; i < 2000; i++) feed(reference, `line ${i}\r\n`);
  const data = redraw(reference, 500, colors);
  const viewer = newTerminal(80, 24);
  const seen = followColors(viewer);
  feed(viewer, data);
  assert.deepEqual(
    [...seen],
    [
      [1, "rgb:10/20/30"],
      [257, "rgb:00/00/01"],
    ],
  );
  assert.equal(viewer.buffer.normal.baseY, 500);
  assert.deepEqual(describeTerminal(viewer, 500), describeTerminal(reference, 500));
});
