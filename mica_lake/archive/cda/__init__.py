"""The observing catalog and the web services of the archive: the functions of ``mica.archive.cda``."""

from mica_lake.archive.cda.services import (
    get_archive_file_list,
    get_ocat_local,
    get_ocat_web,
    get_proposal_abstract,
    update_ocat_local,
)

__all__ = ["get_archive_file_list", "get_ocat_local", "get_ocat_web", "get_proposal_abstract", "update_ocat_local"]
