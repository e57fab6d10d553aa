//! The operator: reconciles TtsVoice and TtsDeployment.
