trait Grow {
    type Next;
}
impl<T> Grow for T {
    type Next = (T, T, T, T);
}
type A<T> = <<<T as Grow>::Next as Grow>::Next as Grow>::Next;
type B<T> = A<A<A<T>>>;
type C<T> = B<B<B<T>>>;
fn main() {
    std::mem::drop::<Option<C<u8>>>(None);
}
