// The report of the run, in a frame that runs no script.
import type { Run } from "./contract";
import { reportOf } from "./service";

export function ReportTab({ run }: { run: Run }) {
  return (
    <div class="report">
      <p class="soft"><a href={reportOf(run.name)} target="_blank" rel="noopener">Open the report on its own</a></p>
      <iframe src={reportOf(run.name)} sandbox="" title={`Report of ${run.name}`} />
    </div>
  );
}
