/** Which names this server answers to; anything else is a page that rebinds a name to us, or a mistake. */
import os from "node:os";

const TAILSCALE = { from: 0x64400000, to: 0x647fffff }; // 100.64.0.0/10

/** The host's Tailscale addresses (IPv4 in 100.64.0.0/10). */
export function tailscaleAddresses(interfaces = os.networkInterfaces()): string[] {
  return Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter((address) => address.family === "IPv4" && inTailscale(address.address))
    .map((address) => address.address);
}

function inTailscale(address: string): boolean {
  const value = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return value >= TAILSCALE.from && value <= TAILSCALE.to;
}

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]", "::1"]);

/** `bound` are the addresses we listen on, `more` the entries of api.allowed_hosts. */
export function isAllowedHost(header: string | undefined, bound: string[], more: string[]): boolean {
  const name = hostName(header);
  if (name === null) return false;
  if (LOOPBACK.has(name) || bound.includes(name) || more.includes(name)) return true;
  // MagicDNS gives this machine its own host name below a tailnet's domain; only where a tailnet address is bound.
  const onTailnet = bound.some((address) => !LOOPBACK.has(address));
  return onTailnet && name.endsWith(".ts.net") && name.split(".")[0] === os.hostname().toLowerCase().split(".")[0];
}

/** A page on an allowed host may call; every other origin, and the opaque one, may not. */
export function isAllowedOrigin(origin: string | undefined, bound: string[], more: string[]): boolean {
  if (origin === undefined) return true;
  try {
    const { protocol, host } = new URL(origin);
    return (protocol === "http:" || protocol === "https:") && isAllowedHost(host, bound, more);
  } catch {
    return false;
  }
}

function hostName(header: string | undefined): string | null {
  if (!header || /[\s/@\\]/.test(header)) return null;
  const name = header.replace(/:\d+$/, "").toLowerCase().replace(/\.$/, "");
  return name === "" ? null : name;
}
