/** What the agent changed: one panel per file, each file's diff fetched when it is opened. */
import type { Task } from "@argus/protocol";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, sentence } from "../api/request.ts";
import { onEvent } from "../tasks/store.ts";
import { Icon } from "../ui/icons.tsx";
import { type ChangedFile, changedFiles, type FileDiff, parseDiff, wordOfLetter } from "./parse.ts";

/** Few files are opened at once, so that the common case needs no tap. */
const OPEN_AT_ONCE = 3;
/** A generated file of a million lines must not freeze a phone. */
const ROWS_SHOWN = 1_500;
const GIT_MS = 30_000; // a cold index of a large repository

interface GitStatusReply {
  status: string;
  branch_files: string;
}

export function DiffView({ task }: { task: Task }): JSX.Element {
  const [files, setFiles] = useState<ChangedFile[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const [wrap, setWrap] = useState(true);
  /** Grows with each reload, so that open panels fetch again. */
  const [edition, setEdition] = useState(0);

  useEffect(() => {
    let current = true;
    ask<GitStatusReply>("GET", `/api/tasks/${encodeURIComponent(task.id)}/git/status`, { timeoutMs: GIT_MS }).then(
      (reply) => {
        if (!current) return;
        const found = changedFiles(reply.branch_files, reply.status);
        setError(null);
        setFiles(found);
        if (edition === 0 && found.length <= OPEN_AT_ONCE) setOpen(new Set(found.map((file) => file.path)));
      },
      (failure) => current && setError(sentence(failure)),
    );
    return () => {
      current = false;
    };
  }, [task.id, edition]);
  // An agent that pauses has usually just changed something.
  useEffect(
    () =>
      onEvent((event) => event.task_id === task.id && /^session\.(idle|exited)$/.test(event.type) && setEdition((before) => before + 1)),
    [task.id],
  );

  const allOpen = files !== null && files.length > 0 && files.every((file) => open.has(file.path));
  return (
    <div class="diff">
      <div class="diff-bar">
        <span class="muted">{files ? `${files.length} changed ${files.length === 1 ? "file" : "files"}` : "Reading changes"}</span>
        <button type="button" class="button compact" onClick={() => setEdition(edition + 1)}>
          Reload
        </button>
        <button
          type="button"
          class="button compact"
          disabled={!files?.length}
          onClick={() => setOpen(allOpen ? new Set() : new Set(files?.map((file) => file.path)))}
        >
          {allOpen ? "Fold all" : "Open all"}
        </button>
        <button type="button" class="button compact" aria-pressed={wrap} onClick={() => setWrap(!wrap)}>
          Wrap
        </button>
      </div>
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      {files?.length === 0 && !error && (
        <div class="empty">
          <p class="empty-title">No changes yet</p>
          <p class="muted">Everything is as it was when the branch began.</p>
        </div>
      )}
      {files?.map((file) => (
        <section key={file.path} class="file">
          <h2 class="file-head">
            <button
              type="button"
              aria-expanded={open.has(file.path)}
              onClick={() => {
                const next = new Set(open);
                if (!next.delete(file.path)) next.add(file.path);
                setOpen(next);
              }}
            >
              <span class={`fold ${open.has(file.path) ? "" : "folded"}`}>
                <Icon name="chevron" size={16} />
              </span>
              <span class={`letter letter-${file.letter === "?" ? "A" : file.letter}`} title={wordOfLetter(file.letter)}>
                {file.letter}
                <span class="visually-hidden"> {wordOfLetter(file.letter)}: </span>
              </span>
              <span class="file-path" title={file.path}>
                <bdi>{file.path}</bdi>
              </span>
            </button>
          </h2>
          {open.has(file.path) && <FilePanel task={task} file={file} wrap={wrap} edition={edition} />}
        </section>
      ))}
    </div>
  );
}

function FilePanel({ task, file, wrap, edition }: { task: Task; file: ChangedFile; wrap: boolean; edition: number }): JSX.Element {
  const [diff, setDiff] = useState<FileDiff | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [shown, setShown] = useState(ROWS_SHOWN);
  useEffect(() => {
    let current = true;
    const path = `/api/tasks/${encodeURIComponent(task.id)}/git/diff?path=${encodeURIComponent(file.path)}`;
    ask<{ diff: string }>("GET", path, { timeoutMs: GIT_MS }).then(
      (reply) => current && (setError(null), setDiff(parseDiff(reply.diff))),
      (failure) => current && setError(sentence(failure)),
    );
    return () => {
      current = false;
    };
  }, [task.id, file.path, edition]);
  if (error) return <p class="form-error">{error}</p>;
  if (!diff) return <p class="quiet">Reading</p>;
  if (diff.rows.length === 0)
    return <p class="quiet">{file.letter === "D" ? "The file was deleted." : "No text changes; the file may be empty."}</p>;
  return (
    <div class={`hunks ${wrap ? "wrap" : ""}`} tabIndex={wrap ? undefined : 0} role="group" aria-label={`Diff of ${file.path}`}>
      <p class="diff-sum">
        <span class="plus">+{diff.added}</span> <span class="minus">−{diff.deleted}</span>
      </p>
      <table>
        <tbody>
          {diff.rows.slice(0, shown).map((row, index) =>
            row.kind === "hunk" || row.kind === "note" ? (
              <tr key={index} class={row.kind}>
                <td colSpan={3}>{row.text}</td>
              </tr>
            ) : (
              <tr key={index} class={row.kind}>
                <td class="number">{row.before ?? ""}</td>
                <td class="number">{row.after ?? ""}</td>
                <td class="code">
                  <span class="sign">{row.kind === "add" ? "+" : row.kind === "del" ? "-" : " "}</span>
                  {row.text}
                </td>
              </tr>
            ),
          )}
        </tbody>
      </table>
      {diff.rows.length > shown && (
        <button type="button" class="button" onClick={() => setShown(shown + ROWS_SHOWN * 4)}>
          Show more of {diff.rows.length.toLocaleString()} lines
        </button>
      )}
    </div>
  );
}
