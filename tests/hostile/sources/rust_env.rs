const _: () = assert!(option_env!("@SECRET_VARIABLE@").is_none());
const _: () = assert!(option_env!("USER").is_none());
const _: () = assert!(option_env!("LOGNAME").is_none());
const _: () = assert!(option_env!("SSH_AUTH_SOCK").is_none());
const _: () = assert!(option_env!("KUBERNETES_SERVICE_HOST").is_none());
const _: () = assert!(option_env!("PYTEST_CURRENT_TEST").is_none());
fn main() {}
