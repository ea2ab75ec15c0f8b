"""Every tensor signature of the mathematics is checked while the tests run: shapes by jaxtyping, types by beartype."""

from jaxtyping import install_import_hook

install_import_hook(
    ["optical_ray.ot", "optical_ray.retrieval", "optical_ray.losses", "optical_ray.encoders"], "beartype.beartype"
)
