#import "@SECRET_TMP@"
int main(void) { return 0; }
