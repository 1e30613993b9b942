#if __has_include("@SECRET_TMP@")
#error "@SECRET_TMP@"
#endif
#if __has_include(<@SECRET_HOME@>)
#error <@SECRET_HOME@>
#endif
#if __has_include("@SECRET_SHM@")
#error "@SECRET_SHM@"
#endif
int main() {}
