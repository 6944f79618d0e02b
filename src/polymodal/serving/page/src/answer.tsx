// The answer to one row: values with probabilities or interval, what was missing, what each input contributed.
import { Contributions, Interval, Probabilities } from "./bars";
import type { Answer, Run, Scalar, Target } from "./contract";
import { percent, plain } from "./numbers";

export const spoken = (value: Scalar | Scalar[] | undefined): string => {
  if (value === null || value === undefined) return "no answer";
  if (Array.isArray(value)) return value.length ? value.map(spoken).join(", ") : "none of the labels";
  return typeof value === "number" ? plain(value) : String(value);
};

/** The answer for one target with its unit. */
export const withUnit = ({ name, unit }: Target, answer: Answer): string =>
  [spoken(answer.values[name]), unit].filter(Boolean).join(" ");

/** The answer in one line, for the history and for screen readers. */
export const summary = (run: Run, answer: Answer): string =>
  run.targets.map((target) => `${target.name}: ${withUnit(target, answer)}`).join(", ");

function OneTarget({ target, answer }: { target: Target; answer: Answer }) {
  const value = answer.values[target.name];
  const chances = answer.probabilities?.[target.name];
  const interval = answer.intervals?.[target.name];
  const unit = target.unit ?? "";
  const chance = chances && !Array.isArray(value) ? chances[String(value)] : undefined;
  const text = spoken(value);
  return (
    <div class="target">
      <h3>{target.name}</h3>
      <p class={text.length > 60 ? "value long" : "value"}>
        {text}{unit && <small> {unit}</small>}{chance !== undefined && <small> {percent(chance)}</small>}
      </p>
      {interval && typeof value === "number" && <Interval value={value} low={interval[0]} high={interval[1]} unit={unit} />}
      {chances && <Probabilities of={chances} chosen={[value].flat().map(String)} />}
    </div>
  );
}

const isShare = (target: Target): boolean => target.classes !== null;

export function Shares({ run, shares }: { run: Run; shares: Record<string, Record<string, number>> }) {
  const targets = run.targets.filter(({ name }) => Object.keys(shares[name] ?? {}).length > 0);
  return (
    <>
      {targets.map((target) => (
        <div key={target.name}>
          {targets.length > 1 && <h4>{target.name}</h4>}
          <Contributions of={shares[target.name]!} unit={target.unit ?? ""} points={isShare(target)} />
        </div>
      ))}
      <p class="soft">
        <span class="key for" /> raises, <span class="key against" /> lowers the answer,
        {targets.some(isShare) ? " in points of the probability" : ""}{targets.some(isShare) && !targets.every(isShare) ? " or" : ""}
        {targets.every(isShare) ? "" : " in the unit of the target"}: Shapley values, from no input at all to this row.
      </p>
    </>
  );
}

export function AnswerOf({ run, answer }: { run: Run; answer: Answer }) {
  return (
    <>
      {run.targets.map((target) => <OneTarget key={target.name} target={target} answer={answer} />)}
      {!!answer.missing?.length && <p class="soft">Answered without {answer.missing.join(", ")}.</p>}
      {answer.warnings?.map((warning) => <p key={warning} class="flag">{warning}</p>)}
    </>
  );
}
