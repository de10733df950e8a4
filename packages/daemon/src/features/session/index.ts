/** Sessions: the agent of a task at work, from launch to exit. */
import * as control from "./control.ts";
import { deliver, delivery } from "./deliver.ts";
import { conversations, switchConversation, upload } from "./files.ts";
import * as watch from "./watch.ts";

export { Deliveries } from "./deliveries.ts";
export { decodeFiles, uploadedFiles } from "./files.ts";
export { Launcher } from "./launcher.ts";
export { taskId, taskRef } from "./refs.ts";
export { Rerender } from "./rerender.ts";
export { TaskSessions } from "./sessions.ts";

const { viewerName: _, ...controls } = control;
export const operations = [
  ...Object.values(controls),
  ...Object.values(watch),
  deliver,
  delivery,
  upload,
  conversations,
  switchConversation,
];
