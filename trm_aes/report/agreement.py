"""A report's sections on agreement with human scores, by prompt and overall, and on the raters' agreement with each other."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..evaluation.bootstrap import Estimate, estimate, means
from ..evaluation.measures import agreement_measures, rater_measures
from ..evaluation.raters import RaterPairSamples, rater_pairs
from ..evaluation.reliability import sampled_share
from ..evaluation.true_score import LabelRule, find_label_rule
from .essays import PromptEssays, ReportEssays
from .formats import SHARES
from .record import MEASURES, OF_ESSAYS_RATED_TWICE, ErrorRow, PromptAgreement, RaterPair

MAX_SCATTERED = 500
LENGTH_BINS = 5
OF_TRUE_SCORES = ("disattenuated_pearson", "prmse", "ceiling_qwk")
OF_REFERENCES = ("length_qwk", "ridge_qwk")


class AgreementSections:
    """
    What is measured of each prompt once, for the three sections.

    Args:
        essays: of the report.
    """

    def __init__(self, essays: ReportEssays):
        self._essays = essays
        self._pairs = {
            prompt.prompt_id: list(rater_pairs(prompt.scores.ratings, essays.raters, prompt.times))
            for prompt in essays.prompts
        }
        self._rules = {
            prompt.prompt_id: find_label_rule(prompt.scores.gold, prompt.scores.ratings, prompt.scores.scale)
            for prompt in essays.prompts
        }
        self._samples = {prompt.prompt_id: self._measure(prompt) for prompt in essays.prompts}

    def _measure(self, prompt: PromptEssays) -> dict[str, np.ndarray]:
        samples = agreement_measures(prompt.scores, prompt.times)
        pair = _main_pair(self._pairs[prompt.prompt_id])
        if pair is not None:
            rule = self._rules[prompt.prompt_id]
            samples |= rater_measures(prompt.scores, pair, rule, prompt.times)
        return {name: samples[name] for name in MEASURES if name in samples and np.isfinite(samples[name][0])}

    def by_prompt(self) -> list[PromptAgreement]:
        """Measures, and what pictures are drawn of, for each prompt."""
        return [
            _prompt_agreement(
                prompt,
                self._samples[prompt.prompt_id],
                [self._essays.seed, place],
                _main_pair(self._pairs[prompt.prompt_id]),
            )
            for place, prompt in enumerate(self._essays.prompts)
        ]

    def overall(self) -> dict[str, Estimate]:
        """Plain means of each measure over the prompts that have it, essays drawn within each prompt."""
        found = {}
        for name in MEASURES:
            of_prompts = [samples[name] for samples in self._samples.values() if name in samples]
            if of_prompts:
                found[name] = self._mean_estimate(name, np.mean(of_prompts, axis=0))
        return found

    def _mean_estimate(self, name: str, samples: np.ndarray) -> Estimate:
        # Nothing is drawn where no prompt has two essays.
        is_drawn = max(len(prompt.frame) for prompt in self._essays.prompts) > 1
        mean = estimate_of(name, samples, self._essays.num_essays if is_drawn else 1)
        # Shares of prompts that are 0 or 1 have a mean without any spread, which says nothing of other essays.
        return Estimate(value=mean.value) if name in SHARES and mean.low == mean.high else mean

    def raters(self) -> list[RaterPair]:
        """All pairs of raters, prompt by prompt."""
        return [
            RaterPair(
                prompt_id=prompt_id,
                first=pair.first,
                second=pair.second,
                n=pair.n,
                **{name: estimate_of(name, samples, pair.n) for name, samples in pair.measures.items()},
            )
            for prompt_id, pairs in self._pairs.items()
            for pair in pairs
        ]

    def limits(self) -> list[str]:
        """What is not defined, a sentence each."""
        sentences = [_about_raters(self._essays.raters)]
        for prompt in self._essays.prompts:
            sentences += _about_prompt(prompt, self._samples[prompt.prompt_id], bool(self._pairs[prompt.prompt_id]))
        sentences += _about_labels(self._rules, self._samples)
        sentences += _about_references(self._essays, self._samples)
        sentences += _about_means(self._samples)
        return [sentence for sentence in sentences if sentence]


def _main_pair(pairs: Sequence[RaterPairSamples]) -> RaterPairSamples | None:
    """The pair of raters that share the most essays: a third rater, say, may have settled disputes alone."""
    return max(pairs, key=lambda pair: pair.n, default=None)


def _estimate(samples: np.ndarray, num_essays: int) -> Estimate:
    """One essay is the same however often it is drawn: its figures have no interval."""
    return estimate(samples if num_essays > 1 else samples[:1])


def estimate_of(name: str, samples: np.ndarray, num_essays: int) -> Estimate:
    """A measure of [`agreement_measures`] with its interval; shares near 0 or 1 have one that holds for other essays."""
    return sampled_share(samples, num_essays) if name in SHARES and num_essays > 1 else _estimate(samples, num_essays)


def _prompt_agreement(
    prompt: PromptEssays, samples: Mapping[str, np.ndarray], seed: list[int], pair: RaterPairSamples | None
) -> PromptAgreement:
    scores, n = prompt.scores, len(prompt.frame)
    steps, predicted_steps = scores.scale.steps(scores.gold), scores.scale.steps(scores.predicted)
    occurring = np.unique(np.concatenate([steps, predicted_steps]))
    confusion = np.zeros((len(occurring), len(occurring)), dtype=int)
    np.add.at(confusion, (np.searchsorted(occurring, steps), np.searchsorted(occurring, predicted_steps)), 1)
    shown = np.sort(np.random.default_rng(seed).permutation(n)[:MAX_SCATTERED])
    return PromptAgreement(
        prompt_id=prompt.prompt_id,
        n=n,
        num_rated_twice=None if pair is None else pair.n,
        measures={
            name: estimate_of(name, values, pair.n if pair and name in OF_ESSAYS_RATED_TWICE else n)
            for name, values in samples.items()
        },
        labels=[scores.scale.format(scores.scale.min_score + step * scores.scale.step) for step in occurring],
        confusion=confusion.tolist(),
        scatter=np.column_stack([scores.gold, scores.predicted])[shown].tolist(),
        by_level=[
            _error_row(prompt, scores.scale.format(level), scores.gold == level) for level in np.unique(scores.gold)
        ],
        by_length=[_error_row(prompt, label, rows) for label, rows in _by_length(prompt.words)],
    )


def _by_length(words: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Fifths of the essays by their number of words, which essays of one length do not straddle: `(label, rows)`."""
    edges = np.unique(np.quantile(words, np.linspace(0, 1, LENGTH_BINS + 1)[1:-1], method="lower"))
    fifth = np.searchsorted(edges, words, side="left")
    rows = [fifth == number for number in np.unique(fifth)]
    return [(_word_range(words[of_fifth]), of_fifth) for of_fifth in rows]


def _word_range(words: np.ndarray) -> str:
    shortest, longest = int(words.min()), int(words.max())
    return f"{shortest} to {longest} words" if longest > shortest else f"{shortest} words"


def _error_row(prompt: PromptEssays, label: str, rows: np.ndarray) -> ErrorRow:
    errors, times, n = prompt.scores.errors[rows], prompt.times[:, rows], int(rows.sum())
    return ErrorRow(
        label=label,
        n=n,
        mean_error=_estimate(means(errors, times), n),
        rmse=_estimate(np.sqrt(means(errors**2, times)), n),
    )


def _about_raters(raters: Sequence[str]) -> str | None:
    measured = "how raters agree with each other, and agreement with the true score, were not measured"
    if not raters:
        return f"The data set has no columns of raters' scores: {measured}."
    if len(raters) == 1:
        return f"The data set has one column of raters' scores, {raters[0]}: {measured}, for they take two."
    return None


def _about_prompt(prompt: PromptEssays, samples: Mapping[str, np.ndarray], has_pair: bool) -> list[str]:
    name, gold, n = prompt.prompt_id, prompt.scores.gold, len(prompt.frame)
    if n == 1:
        return [f"Prompt {name} has one essay: what takes several is not defined there."]
    sentences = []
    if np.unique(gold).size == 1:
        score = prompt.scores.scale.format(gold[0])
        sentences.append(
            f"All {n:,} human scores of prompt {name} are {score}: QWK, r, SMD and what rests on them are not defined there."
        )
    elif "pearson" not in samples:
        sentences.append(f"The scorer gives all essays of prompt {name} one score: r is not defined there.")
    if not prompt.scores.ratings.shape[1] > 1:
        return sentences
    if not has_pair:
        sentences.append(f"No essay of prompt {name} has scores of two raters.")
    elif "rater_qwk" not in samples:
        sentences.append(f"The raters of prompt {name} give one score throughout: their QWK is not defined.")
    elif not set(OF_TRUE_SCORES) & set(samples):
        sentences.append(
            f"How the scores of prompt {name} follow from its raters' scores cannot be told from the data (neither their sum, "
            "their mean, the higher nor one of them): disattenuated r, PRMSE and the ceiling are not defined there."
        )
    elif "prmse" not in samples:
        sentences.append(
            f"The raters of prompt {name} differ so much that no true score shows: PRMSE is not defined there."
        )
    return sentences


def _about_labels(
    rules: Mapping[str, LabelRule | None], samples: Mapping[str, Mapping[str, np.ndarray]]
) -> Iterator[str]:
    """What the way in which labels follow from ratings does to the comparisons."""
    of_several, higher = (
        [
            prompt_id
            for prompt_id, rule in rules.items()
            if rule and rule.name in names and "degradation_qwk" in samples[prompt_id]
        ]
        for names in (("sum", "mean"), ("higher",))
    )
    if of_several:
        yield (
            f"The scores of {_listed(of_several)} are made of several ratings and so less noisy than one: that favors "
            "the scorer where it is held against the raters (degradation)."
        )
    if higher:
        yield (
            f"The scores of {_listed(higher)} are the higher of the ratings: PRMSE counts it as an error of "
            "the scorer there that its scores lie above the raters' mean."
        )


def _listed(prompt_ids: Sequence[str]) -> str:
    return f"prompt{'s' if len(prompt_ids) > 1 else ''} {', '.join(prompt_ids)}"


def _about_references(essays: ReportEssays, samples: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    if not essays.has_training:
        return [
            "There are no training essays apart from those scored: length alone and ridge regression have no figures."
        ]
    sentences = []
    for name in OF_REFERENCES:
        missing = [
            prompt_id for prompt_id, of_prompt in samples.items() if name not in of_prompt and "qwk" in of_prompt
        ]
        if missing:
            sentences.append(f"Prompts without enough training essays for {MEASURES[name]}: {', '.join(missing)}.")
    return sentences


def _about_means(samples: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    """Which means are not over all prompts, a sentence for each set of prompts."""
    by_prompts: dict[tuple[str, ...], list[str]] = {}
    for name, in_words in MEASURES.items():
        having = tuple(prompt_id for prompt_id, of_prompt in samples.items() if name in of_prompt)
        if having and len(having) < len(samples):
            by_prompts.setdefault(having, []).append(in_words)
    return [
        f"These means are over {_listed(having)} alone, where they are defined: {', '.join(names)}."
        for having, names in by_prompts.items()
    ]
