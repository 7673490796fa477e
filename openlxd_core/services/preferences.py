"""What an account prefers in the terminal UI, remembered from one login to the next."""

from __future__ import annotations

from dataclasses import replace

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.preferences import Preferences, TableView, check_preferences, read_preferences
from openlxd_core.services.lookup import find_user
from openlxd_core.services.records import to_user
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction


class AccountPreferences:
    """The preferences of the actor's own account. Whoever has none (root on a host without an admin) keeps nothing."""

    async def get(self, actor: Actor) -> Preferences:
        """One look by primary key; what was never chosen is empty."""
        require(actor, Action.ACCOUNT_OWN)
        if actor.user_id is None:
            return Preferences()
        row = await models.Preference.filter(user_id=actor.user_id).first()
        return read_preferences(row.chosen) if row is not None else Preferences()

    async def update(
        self,
        actor: Actor,
        *,
        theme: str | None = None,
        language: str | None = None,
        tables: dict[str, TableView] | None = None,
    ) -> Preferences:
        """Change some, leave the others as another session may have set them just now. Raises ValidationFailed.

        Not written to the audit: nobody but the account's own screens is affected.
        """
        require(actor, Action.ACCOUNT_OWN)
        if actor.user_id is None:
            return Preferences()
        return await self._store(actor, theme, language, tables or {})

    @transaction
    async def _store(
        self, actor: Actor, theme: str | None, language: str | None, tables: dict[str, TableView]
    ) -> Preferences:
        owner = await find_user(actor)
        require(actor, Action.ACCOUNT_OWN, to_user(owner))
        row = await models.Preference.filter(user_id=owner.id).first()
        preferences = read_preferences(row.chosen) if row is not None else Preferences()
        if theme is not None:
            preferences = replace(preferences, theme=theme)
        if language is not None:
            preferences = replace(preferences, language=language)
        for name, view in tables.items():
            preferences = preferences.with_table(name, view)
        chosen = check_preferences(preferences)
        if row is None:
            await models.Preference.create(user_id=owner.id, chosen=chosen)
        elif row.chosen != chosen:
            row.chosen = chosen
            await row.save()
        return preferences
