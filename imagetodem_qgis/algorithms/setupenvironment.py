"""Set up machine-learning environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputFolder,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
)

from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.runtime.base_python import problem_as_base
from imagetodem_qgis.runtime.child import ChildCancelled
from imagetodem_qgis.runtime.environment import Listener, make_environment
from imagetodem_qgis.runtime.errors import SetupError
from imagetodem_qgis.runtime.inspection import InspectionError, import_errors, inspect
from imagetodem_qgis.runtime.interpreter import VARIABLE, named_by_variable
from imagetodem_qgis.runtime.locations import environment_folder
from imagetodem_qgis.runtime.profiles import PROFILES, Profile, requirements_file, unavailable_reason
from imagetodem_qgis.runtime.settings import proxy_variables, python_setting, set_python_setting
from imagetodem_qgis.runtime.setup_log import SetupLog


class SetUpEnvironmentAlgorithm(ImageToDemAlgorithm):
    """Makes, mends or extends the environment that the worker runs in, or takes one that is there."""

    NAME = "setupenvironment"
    DISPLAY_NAME = "Set up machine-learning environment"
    GROUP = "Environment"
    GROUP_ID = "environment"
    TAGS = ("python", "install", "pip", "wheels", "onnxruntime", "tensorflow", "keras", "pytorch", "gpu")
    SHORT_DESCRIPTION = "Installs what Predict DEM needs, into a folder of its own."
    SHORT_HELP = (
        "<p>Installs the machine-learning packages that this plugin needs into a Python environment of its "
        "own. QGIS's own Python is left as it is.</p>"
        "<p>Run it once with the profile <b>predict</b> before the first Predict DEM: it downloads about "
        "80 MB and takes about a minute. The profile <b>train</b> is needed to train generators and to use "
        "models in Keras' or TensorFlow's format: about 400 MB, with an NVIDIA card some gigabytes.</p>"
        "<p>It is safe to run again: what is whole is kept, what is broken or was interrupted is "
        "mended.</p>"
        "<p>Without a connection to the internet, give a folder of wheels (WHEELS).</p>"
    )

    PROFILE = "PROFILE"
    PYTHON = "PYTHON"
    WHEELS = "WHEELS"
    ENVIRONMENT = "ENVIRONMENT"

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        profile = QgsProcessingParameterEnum(
            self.PROFILE,
            self.tr("Profile"),
            options=list(PROFILES),
            defaultValue="predict",
            usesStaticStrings=True,
        )
        profile.setHelp(
            self.tr(
                "What the environment is for. predict: ONNX Runtime, enough for Predict DEM. train: Keras "
                "with TensorFlow as well, and on Windows PyTorch, which can use the graphics card there."
            )
        )
        self.addParameter(profile)
        # The default filter, *.*, refuses names without a dot, as interpreters have outside Windows.
        python = QgsProcessingParameterFile(
            self.PYTHON, self.tr("Existing Python"), optional=True, fileFilter=self.tr("All files (*)")
        )
        python.setHelp(
            self.tr(
                "A Python interpreter, such as python.exe of a conda environment. If it has all that the "
                "profile needs, it is used as it is and nothing is installed; else the environment is made "
                "from it. Leave empty to use the best Python on this computer."
            )
        )
        self.addParameter(python)
        wheels = QgsProcessingParameterFile(
            self.WHEELS,
            self.tr("Folder of wheels, to install without internet"),
            behavior=QgsProcessingParameterFile.Behavior.Folder,
            optional=True,
        )
        wheels.setHelp(
            self.tr(
                "A folder with the packages' .whl files, for a computer without a connection. Fill it on a "
                "computer of the same kind with: python -m pip download --only-binary :all: --dest FOLDER "
                "--requirement FILE, where FILE is predict.txt or train.txt in the plugin's folder "
                "runtime/requirements."
            )
        )
        self.addParameter(wheels)
        self.addOutput(QgsProcessingOutputFolder(self.ENVIRONMENT, self.tr("Folder of the environment")))

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        acceptable, reason = super().checkParameterValues(parameters, context)
        if not acceptable:
            return acceptable, reason
        profile = PROFILES[self.parameterAsEnumString(parameters, self.PROFILE, context)]
        reason = unavailable_reason(profile)
        if reason:
            return False, f"PROFILE: {profile.name} cannot be set up here: {reason}"
        wheels = self.parameterAsString(parameters, self.WHEELS, context)
        if wheels and not Path(wheels).is_dir():
            return False, f"WHEELS: the folder {wheels} does not exist"
        if wheels and not any(Path(wheels).glob("*.whl")):
            return False, f"WHEELS: the folder {wheels} holds no wheel (a file whose name ends in .whl)"
        python = self.parameterAsString(parameters, self.PYTHON, context)
        if not python:
            return True, ""
        try:
            facts = inspect(Path(python))
        except InspectionError as error:
            return False, f"PYTHON: {error}. {profile.versions_text} work"
        problem = problem_as_base(profile, facts) if profile.missing(facts) else ""
        return (False, f"PYTHON: {problem}") if problem else (True, "")

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        profile = PROFILES[self.parameterAsEnumString(parameters, self.PROFILE, context)]
        named = self.parameterAsString(parameters, self.PYTHON, context)
        wheels = self.parameterAsString(parameters, self.WHEELS, context)
        python = Path(named).expanduser().absolute() if named else None
        if python is not None and not profile.missing(inspect(python)):
            return self._take(python, profile, feedback)

        with SetupLog() as log:
            listener = Listener(log.hearing(feedback.pushInfo), feedback.setProgress, feedback.isCanceled)
            try:
                make_environment(
                    environment_folder(),
                    profile,
                    requirements_file(profile),
                    python,
                    Path(wheels) if wheels else None,
                    listener,
                    proxy_variables(),
                )
            except ChildCancelled:
                log.write("Cancelled. Run this again to go on.")
                feedback.pushInfo("Cancelled. Run this again to go on.")
                return {}
            except SetupError as error:
                log.write(str(error))
                raise QgsProcessingException(str(error)) from error
        former = python_setting()
        if former:
            set_python_setting("")
            feedback.pushInfo(f"The setting that named {former} is cleared: this environment is used now.")
        self._warn_of_variable(feedback)
        return {self.ENVIRONMENT: str(environment_folder())}

    def _take(self, python: Path, profile: Profile, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Use an interpreter that has all that the profile needs, once that has been seen to work."""
        try:
            errors = import_errors(python, profile.present(inspect(python)), feedback.isCanceled)
        except ChildCancelled:
            return {}
        except InspectionError as error:
            raise QgsProcessingException(f"PYTHON: {error}") from error
        if errors:
            problems = "; ".join(f"{name} cannot be imported: {error}" for name, error in errors.items())
            raise QgsProcessingException(
                f"PYTHON: {python} does not work: {problems}. Name another, or none."
            )
        set_python_setting(str(python))
        feedback.pushInfo(f"{python} has all that the profile {profile.name} needs: it is used as it is.")
        self._warn_of_variable(feedback)
        return {self.ENVIRONMENT: str(inspect(python).prefix)}

    @staticmethod
    def _warn_of_variable(feedback: QgsProcessingFeedback) -> None:
        variable = named_by_variable()
        if variable and not python_setting():
            feedback.pushWarning(f"The {VARIABLE} names {variable}: that is used in place of this one.")
