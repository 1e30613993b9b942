import "@SECRET_TMP@";
int main() {}
