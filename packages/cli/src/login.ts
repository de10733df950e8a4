/** `argus login`: a link that logs one device in. */
import { connect } from "./connection.ts";
import type { Globals } from "./globals.ts";

export async function run(_args: string[], globals: Globals): Promise<number> {
  const connection = await connect(globals);
  try {
    const { url, expires_in_minutes } = await connection.call<{ url: string; expires_in_minutes: number }>("token.login_link");
    process.stdout.write(
      globals.json
        ? `${JSON.stringify({ url, expires_in_minutes })}\n`
        : `${url}\n\nThe link works once, within ${expires_in_minutes} minutes.\n`,
    );
    return 0;
  } finally {
    connection.close();
  }
}
