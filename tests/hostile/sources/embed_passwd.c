const unsigned char text[] = {
#embed "@SECRET_TMP@"
};
