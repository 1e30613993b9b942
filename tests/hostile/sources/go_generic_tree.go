package main

type P[A, B any] struct {
	a *A
	b *B
}

type (
	T0 struct{}
	T1 = P[P[T0, T0], P[T0, T0]]
	T2 = P[P[T1, T1], P[T1, T1]]
	T3 = P[P[T2, T2], P[T2, T2]]
	T4 = P[P[T3, T3], P[T3, T3]]
	T5 = P[P[T4, T4], P[T4, T4]]
	T6 = P[P[T5, T5], P[T5, T5]]
	T7 = P[P[T6, T6], P[T6, T6]]
	T8 = P[P[T7, T7], P[T7, T7]]
	T9 = P[P[T8, T8], P[T8, T8]]
	TA = P[P[T9, T9], P[T9, T9]]
	TB = P[P[TA, TA], P[TA, TA]]
	TC = P[P[TB, TB], P[TB, TB]]
	TD = P[P[TC, TC], P[TC, TC]]
	TE = P[P[TD, TD], P[TD, TD]]
	TF = P[P[TE, TE], P[TE, TE]]
)

var value TF

func main() { println(&value) }
