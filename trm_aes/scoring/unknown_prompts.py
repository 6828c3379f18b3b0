"""What becomes of an essay of a prompt that a scorer has never seen."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..model.essay_tokens import find_prompt_id, has_other_text, known_prompt_texts

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

    from .scorer import EssayScorer

ERROR, NEAREST, SKIP = CHOICES = ("error", "nearest", "skip")
# Added to each row where unknown prompts are no error: the prompt as whose the essay was scored, or nothing.
SCORED_AS = "scored_as_prompt"


class PromptRule:
    """
    Finds the prompt as whose an essay is scored. It holds no weights, so that it travels to other processes at no cost.

    Args:
        scorer: knows some prompts.
        unknown: what becomes of an essay of another: an `error`; scored as of the prompt whose text is `nearest`, which is
            that of the highest cosine of words weighted by TF-IDF among the scorer's prompts; or `skip`, not scored.
        is_choice: whether whoever reads an error can choose that.

    Raises:
        InputError: if `unknown` is none of these.
    """

    def __init__(self, scorer: "EssayScorer", unknown: str = ERROR, is_choice: bool = True):
        if unknown not in CHOICES:
            raise InputError(f"`unknown_prompt` {unknown}: there are {', '.join(CHOICES)}.")
        self.unknown, self._is_choice = unknown, is_choice
        self._config = scorer.model.config

    def prompt_of(self, prompt_id: str | None, prompt_text: str | None, where: str) -> str | None:
        """
        The id of a prompt that the scorer knows; None for an essay that is not to be scored.

        Args:
            prompt_id, prompt_text: what an essay's row says of its prompt; None where it says nothing.
            where: names its place, for messages.

        Raises:
            InputError: if the prompt is unknown and that is an error, or no text tells which is nearest; and whenever
                nothing is said of the prompt, or not enough, and the scorer knows several.
        """
        is_unknown = self._is_unknown(prompt_id, prompt_text)
        if is_unknown and self.unknown == SKIP:
            return None
        if is_unknown and self.unknown == NEAREST:
            return self._nearest(prompt_text, where)
        try:
            return find_prompt_id(self._config, prompt_id, prompt_text)
        except ValueError as error:
            choice = (
                " Or choose what becomes of such essays with `unknown_prompt`."
                if is_unknown and self._is_choice
                else ""
            )
            if prompt_id is None and prompt_text is None and self._is_choice:
                choice = (
                    " Give `prompt_id`, or name the column that tells it with `columns.prompt_id` or `columns.prompt`."
                )
            raise InputError(f"{where}: {error}{choice}") from None

    def check_is_no_other(self, named: str | None, text: str | None, prompt_id: str, where: str):
        """
        Checks that a row does not name another of the scorer's prompts than the one that all essays are said to answer, by its
        id or by its text.

        Raises:
            InputError: if it does; `where` names its place.
        """
        others = [named] if named in self._config.score_ranges else []
        of_text = [known for known, own in self._texts.items() if text is not None and own.split() == text.split()]
        if prompt_id not in of_text:
            # Prompts may share a text.
            others += of_text
        other = next((found for found in others if found != prompt_id), None)
        if other is not None:
            raise InputError(
                f"{where}: the essay is one of prompt {other!r}, and `prompt_id` {prompt_id} says that all are of another. Leave "
                "`prompt_id` out, or give essays of one prompt."
            )

    def added(self, prompt_id: str | None) -> Mapping[str, Any]:
        """What a row says of what was done: nothing where unknown prompts are an error."""
        return {} if self.unknown == ERROR else {SCORED_AS: prompt_id or ""}

    def _is_unknown(self, prompt_id: str | None, prompt_text: str | None) -> bool:
        if prompt_id is not None:
            # An id that the model has given to another prompt is as good as unknown.
            return prompt_id not in self._config.score_ranges or has_other_text(self._config, prompt_id, prompt_text)
        return prompt_text is not None and prompt_text.strip() not in {text.strip() for text in self._texts.values()}

    def _nearest(self, prompt_text: str | None, where: str) -> str:
        if prompt_text is None:
            raise InputError(
                f"{where}: which of the model's prompts is nearest is told by the text of the essay's prompt, and there is "
                "none. Add a column with it, or choose another `unknown_prompt`."
            )
        vectorizer, known = self._vectors
        similarity = (known @ vectorizer.transform([prompt_text]).T).toarray()[:, 0]
        if similarity.max() <= 0:
            raise InputError(
                f"{where}: the text of this prompt has no word of two letters or more in common with any prompt of the model, so "
                "none is nearest. Choose another `unknown_prompt`."
            )
        return list(self._texts)[int(similarity.argmax())]

    @cached_property
    def _texts(self) -> dict[str, str]:
        return known_prompt_texts(self._config)

    @cached_property
    def _vectors(self) -> "tuple[TfidfVectorizer, Any]":
        # It takes seconds to import, and most runs meet no unknown prompt.
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer()
        return vectorizer, vectorizer.fit_transform(self._texts.values())
