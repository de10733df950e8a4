/** A viewer process for the survival tests: writes all it is given, with offsets, to a file. Arguments: socket, session, file, since. */

import { openSync, writeSync } from "node:fs";
import { connectSupervisor } from "../src/client.ts";

const [socket = "", id = "", file = "", since] = process.argv.slice(2);
const out = openSync(file, "w");

function note(picture: boolean, offset: number, bytes: Buffer): void {
  const head = Buffer.alloc(13);
  head[0] = picture ? 1 : 0;
  head.writeBigUInt64BE(BigInt(offset), 1);
  head.writeUInt32BE(bytes.length, 9);
  writeSync(out, Buffer.concat([head, bytes]));
}

const client = await connectSupervisor(socket);
await client.watch(
  id,
  {
    onSnapshot: (shot) => note(true, shot.offset, shot.data),
    onOutput: (offset, bytes) => note(false, offset, bytes),
    onExit: () => process.exit(0),
  },
  since ? { since: Number(since) } : {},
);
process.stdout.write("watching\n");
