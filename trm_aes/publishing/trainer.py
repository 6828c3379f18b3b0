"""How a `Trainer` publishes: what `Trainer.push_to_hub` does instead of uploading the whole output folder."""

import copy
import logging
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import HubStrategy

from ..errors import InputError, TRMError
from ..records import RUN_RECORD_NAME
from .hub import check_may_be_written, explain_hub_errors, publish
from .model_card import DEFAULT_LICENSE, find_evaluation, find_report, render_model_card

logger = logging.getLogger(__name__)

WITH_PICKLES = (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS)


class PublishingTrainer(Trainer):
    """
    A `Trainer` whose `push_to_hub` publishes a scorer as `trm-aes push` does: in one commit, without pickled files,
    checkpoints and predictions, and keeps the token for the Hub out of every file.

    This is a class and not a callback because the Trainer calls nobody in place of its own upload: `push_to_hub` is what
    a program of one's own, `train_scorer` and `Trainer.save_model` call, some of them long after training has ended.
    """

    def __init__(self, model: Any = None, args: TrainingArguments | None = None, **kwargs):
        if args is not None and args.push_to_hub and args.hub_strategy in WITH_PICKLES:
            strategy = HubStrategy(args.hub_strategy).value
            raise InputError(
                f"`hub_strategy` {strategy} would publish whole checkpoints, which are pickled files: anyone could "
                "hide a program in such. Use end or every_save."
            )
        self._hub_token: str | None = None
        if args is not None:
            # The Trainer pickles its arguments into every checkpoint: a token must not be among them.
            self._hub_token = args.hub_token
            args = copy.copy(args)
            args.hub_token = None
        super().__init__(model, args, **kwargs)

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """
        As `Trainer`'s, with one clear message where the Hub refuses or cannot be reached.

        Raises:
            InputError: if `args.hub_revision` is given (a scorer is published on the main branch), the token is refused, or
                the repository is public and a private one was asked for.
            OutputError: if the Hub cannot be reached.
        """
        if self.args.hub_revision is not None:
            raise InputError("A scorer is published on the main branch: leave `hub_revision` out.")
        if private is not None:
            # Transformers before 5.23 takes it from there alone.
            self.args.hub_private_repo = private
        with explain_hub_errors(str(self.args.hub_model_id or self.args.output_dir), "Nothing was published."):
            super().init_hf_repo(token or self._hub_token)
        if self.args.hub_private_repo and self.is_world_process_zero():
            # One that was there stays as it was.
            repo_id = str(self.hub_model_id)
            check_may_be_written(repo_id, private=True, overwrite=True, token=token or self._hub_token)

    def push_to_hub(  # type: ignore[override]  # Trainer's returns what its own upload does
        self,
        commit_message: str = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        license: str = DEFAULT_LICENSE,
        **kwargs,
    ) -> str | None:
        """
        As `Trainer`'s, but without pickled files and, where `train_scorer` left its record in the output folder, with a
        card that tells it and the evaluation beside it. Adds a commit to `args.hub_model_id`, whatever is there.

        Args:
            commit_message, token, private: see `Trainer.push_to_hub`.
            blocking, revision: of `Trainer.push_to_hub`; a scorer is published at once, on the main branch.
            license: of the weights, by the Hub's name for it.
            kwargs: for `Trainer.create_model_card`, where there is no such record.

        Returns:
            Address of the commit; None on all processes but the first.

        Raises:
            InputError: if `blocking` is false or a `revision` is given; otherwise see [`publish`].
            OutputError: see [`publish`].
        """
        if not blocking or revision is not None:
            raise InputError("A scorer is published at once, on the main branch: leave `blocking` and `revision` out.")
        if self.hub_model_id is None:
            self.init_hf_repo(token, private)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        repo_id = str(self.hub_model_id)
        folder, card, evaluation, report = Path(str(self.args.output_dir)), None, None, None
        if (folder / RUN_RECORD_NAME).is_file():
            evaluation, report = find_evaluation(folder), find_report(folder)
            card = str(render_model_card(folder, repo_id, evaluation, license, report))
        else:
            self.create_model_card(model_name=repo_id.split("/")[-1], license=license, **kwargs)
        return publish(
            folder,
            repo_id,
            card,
            evaluation,
            report,
            private=bool(private or self.args.hub_private_repo),
            overwrite=True,
            token=token or self._hub_token,
            message=commit_message,
        )

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Publishes the scorer of a checkpoint where `hub_strategy` asks for every save. Training goes on if it cannot."""
        if not self.is_world_process_zero() or self.args.hub_strategy == HubStrategy.END:
            return
        message = f"Training in progress, step {self.state.global_step}"
        try:
            publish(
                Path(checkpoint_folder),
                str(self.hub_model_id),
                None,
                private=bool(self.args.hub_private_repo),
                overwrite=True,
                token=self._hub_token,
                message=message,
            )
        except TRMError as error:
            logger.warning("%s Training goes on.", error)
