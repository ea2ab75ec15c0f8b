"""Every tensor signature of the mathematics is checked while the tests run: shapes by jaxtyping, types by beartype."""

import os

from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests' tensors are small: threads that wait for each other cost more

install_import_hook(
    ["optical_ray.ot", "optical_ray.retrieval", "optical_ray.losses", "optical_ray.encoders"], "beartype.beartype"
)
