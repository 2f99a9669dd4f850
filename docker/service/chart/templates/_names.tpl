{{- define "hpo.secret" -}}
{{ .Values.secret | default .Release.Name }}
{{- end }}

{{- define "hpo.storage" -}}
{{- if .Values.postgres.enabled -}}
postgresql://hpo@{{ .Release.Name }}-postgres/hpo
{{- else -}}
{{ .Values.postgres.url }}
{{- end -}}
{{- end }}

{{- define "hpo.password" -}}
name: PGPASSWORD
valueFrom: {secretKeyRef: {name: {{ include "hpo.secret" . }}, key: password}}
{{- end }}
