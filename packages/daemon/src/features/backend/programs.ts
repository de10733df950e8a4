/** The programs Argus brings itself, so that the main job works where nothing is installed. */
import { fileURLToPath } from "node:url";

/** Argument lists by the name a backend's command uses. Resolved at each start, because a clone may move. */
export function builtInPrograms(): Record<string, string[]> {
  return {
    "argus-agent": [process.execPath, "--disable-warning=ExperimentalWarning", fileURLToPath(import.meta.resolve("@argus/agent/main"))],
    // Runs the prompt as a script; without one it is an interactive shell.
    "argus-shell": ["sh", "-c", 'if [ "$#" -gt 0 ]; then exec sh -c "$1"; else exec "${SHELL:-sh}"; fi', "argus-shell"],
  };
}
