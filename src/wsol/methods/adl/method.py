"""ADL as a training method."""

import logging

from wsol.methods.adl.attach import attach_adl
from wsol.methods.adl.config import Config
from wsol.methods.adl.taps import default_taps
from wsol.methods.base import Method
from wsol.models import Network

log = logging.getLogger("wsol")


class ADLMethod(Method):
    """Plain training of a network to which the Attention-based Dropout Layer is attached."""

    acts_through_body = True

    def __init__(self, config: Config) -> None:
        """Keep the options."""
        self.config = config

    def attach(self, network: Network) -> None:
        """Attach the layer at the chosen taps, or at the default ones of the network."""
        taps = self.config.taps or network.choices.get("adl", ()) or default_taps(network.body)
        log.info("ADL at taps %s", ", ".join(taps))
        attach_adl(network.body, taps, self.config.drop_rate, self.config.threshold)
