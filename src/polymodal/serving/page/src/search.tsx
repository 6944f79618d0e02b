// The tab Search: rows of an index that are nearest to what the form holds.
import { useSignal } from "@preact/signals";
import type { Hit, Run } from "./contract";
import { FieldOf } from "./field";
import { rowOf } from "./form";
import { plain } from "./numbers";
import { ServiceError, messageOf, search } from "./service";
import { assignErrors, formFor, locked, notice } from "./state";

const LIMITS = [5, 10, 20, 50];

function cellText(value: unknown): string {
  if (value === null || value === undefined) return "missing";
  if (typeof value === "number") return plain(value);
  return Array.isArray(value) ? value.map(cellText).join(", ") : String(value);
}

function HitPreview({ uri, row }: { uri: string; row: Hit["row"] }) {
  if (uri.startsWith("data:audio/")) return <audio src={uri} controls aria-label={`Sound of row ${row}`} />;
  if (uri.startsWith("data:video/")) return <video src={uri} controls muted playsInline aria-label={`Clip of row ${row}`} />;
  return <img src={uri} alt={`Picture of row ${row}`} />;
}

function HitCard({ hit }: { hit: Hit }) {
  return (
    <li class="card">
      {hit.preview && <HitPreview uri={hit.preview} row={hit.row} />}
      <h3>Row {hit.row} <small>{hit.input && `${hit.input}, `}score {hit.score.toFixed(3)}</small></h3>
      <dl>
        {Object.entries(hit.values).map(([name, value]) => (
          <div key={name}><dt>{name}</dt><dd>{cellText(value).slice(0, 200)}</dd></div>
        ))}
      </dl>
    </li>
  );
}

export function SearchTab({ run }: { run: Run }) {
  const limit = useSignal(10);
  const where = useSignal("");
  const busy = useSignal(false);
  const errors = useSignal<string[]>([]);
  const hits = useSignal<Hit[] | null>(null);

  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy.value) return;
    busy.value = true;
    errors.value = [];
    try {
      const { row, errors: wrong } = rowOf(run.inputs, formFor(run));
      const faults = Object.entries(wrong).map(([input, message]) => ({ input, message }));
      if (faults.length) throw new ServiceError(422, "", faults);
      hits.value = await search({
        row, limit: limit.value,
        ...(where.value.trim() && { where: where.value.trim() }),
      });
      notice.value = `${hits.value.length} rows match.`;
    } catch (reason) {
      if (reason instanceof ServiceError && reason.status === 401) locked.value = true;
      const faults = reason instanceof ServiceError && reason.faults.length ? reason.faults : [{ message: messageOf(reason) }];
      errors.value = assignErrors(run, faults);
    }
    busy.value = false;
  };
  return (
    <>
      <form onSubmit={submit} aria-label="Search" noValidate>
        <p class="soft">Rows of the index that are nearest to what you give: one input is enough.</p>
        <div class="fields three">{run.inputs.map((input) => <FieldOf key={input.name} run={run} input={input} />)}</div>
        <div class="options">
          <label><span class="name">Rows</span>
            <select value={limit.value} onChange={(event) => (limit.value = Number(event.currentTarget.value))}>
              {LIMITS.map((count) => <option key={count} value={count}>{count}</option>)}
            </select>
          </label>
          <label class="grow"><span class="name">Only rows where</span>
            <input type="text" class="code" placeholder="year > 2010 and district = 'hill'" onInput={(event) => (where.value = event.currentTarget.value)} />
          </label>
        </div>
        {errors.value.map((message) => <p key={message} class="error box" role="alert">{message}</p>)}
        <div class="actions"><button class="primary" aria-disabled={busy.value}>{busy.value ? "Searching …" : "Search"}</button></div>
      </form>
      {hits.value && (
        <section aria-labelledby="hits">
          <h2 id="hits">{hits.value.length ? "Nearest rows" : "No row matches"}</h2>
          <ol class="cards">{hits.value.map((hit) => <HitCard key={`${hit.row} ${hit.input}`} hit={hit} />)}</ol>
        </section>
      )}
    </>
  );
}
