/** The texts that make systemd (Linux) and launchd (macOS) start the daemon at login. Plain functions: what they write can be read in a test. */

export const SYSTEMD_UNIT = "argus-daemon.service";
export const LAUNCHD_LABEL = "com.drn.argus.daemon";

export interface ServiceParts {
  /** `~/.argus/argusd`: a link, so that the file stays right when the program moves. */
  program: string;
  /** Where the output goes. */
  log: string;
  /** A service manager passes nothing on: what the daemon and its agents need is written down here. */
  env: Record<string, string>;
}

export function systemdUnit({ program, log, env }: ServiceParts): string {
  return [
    "[Unit]",
    "Description=Argus daemon",
    "StartLimitIntervalSec=300",
    "StartLimitBurst=10",
    "",
    "[Service]",
    `ExecStart=${unitWord(program)} daemon run`,
    ...Object.entries(env).map(([name, value]) => `Environment=${unitWord(`${name}=${value}`)}`),
    // A stop that was asked for exits 0 and stays stopped; a crash does not.
    "Restart=on-failure",
    "RestartSec=2",
    // Only the daemon itself: the supervisor and every agent live on in this control group.
    "KillMode=process",
    `StandardOutput=append:${log.replaceAll("%", "%%")}`,
    `StandardError=append:${log.replaceAll("%", "%%")}`,
    "",
    "[Install]",
    "WantedBy=default.target",
    "",
  ].join("\n");
}

/** One quoted word of a unit file: `%` starts a specifier, `$` a variable, a backslash an escape. */
function unitWord(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%").replaceAll("$", "$$$$")}"`;
}

export function launchdPlist({ program, log, env }: ServiceParts): string {
  const text = (value: string) => `<string>${value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")}</string>`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  ${text(LAUNCHD_LABEL)}
  <key>ProgramArguments</key>
  <array>
    ${[program, "daemon", "run"].map(text).join("\n    ")}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
${Object.entries(env)
  .map(([name, value]) => `    <key>${name}</key>\n    ${text(value)}`)
  .join("\n")}
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>AbandonProcessGroup</key>
  <true/>
  <key>StandardOutPath</key>
  ${text(log)}
  <key>StandardErrorPath</key>
  ${text(log)}
</dict>
</plist>
`;
}

/** PATH for a process that no shell starts: the usual places first, then whatever the installing shell has besides, without a clone's own. */
export function servicePath(home: string, shellPath: string): string {
  const usual = [`${home}/.local/bin`, "/opt/homebrew/bin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
  const more = shellPath
    .split(":")
    .filter((folder) => folder.startsWith("/") && !folder.includes("/node_modules/") && !usual.includes(folder));
  return [...usual, ...new Set(more)].join(":");
}
